"""The verdict on a finished run, in plain words. Losses are in nats per character.

A rule looks at evidence, and says nothing where a part that it needs is missing. The first rule that applies gives the
verdict; what to change, if anything, follows in advice.py.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lstmlm.runs.curves import LEVEL, Curves, Point, make_curves
from lstmlm.training.metrics import Row

GAP = 0.1  # nats: so far may the validation loss be above the loss on the training text
LEARNT = 0.05  # nats: a text that costs less is learnt, perplexity 1.05
SEEN_OFTEN = 3.0  # epochs: before, a model cannot have learnt its text by heart, nor be too small for it
LITTLE = 0.03  # nats: what the last third of a run brings to a model that is too small
DIVERGED = 0.3  # nats: a training loss that rises more has diverged


@dataclass(frozen=True)
class Evidence:
    """What is known of a finished run; None, or an empty tuple, is what is not known."""

    points: tuple[Point, ...] = ()  # its evaluations in order
    limit: str | None = None  # the setting that ended it
    epoch: float | None = None  # where it ended
    unigram: float | None = None  # the validation loss of a model that knows the characters' frequencies alone
    own_text: float | None = None  # the best weights on text that they were trained on, without dropout
    held_out: float | None = None  # the best weights on the validation text

    @property
    def curves(self) -> Curves:
        return make_curves([point for point in self.points if point.is_finite])


@dataclass(frozen=True)
class Finding:
    kind: str  # the name of a rule, or "unclear"
    sentence: str


@dataclass(frozen=True)
class Rule:
    """`apply` gives the sentence, or None where the rule does not hold.

    It is called only where the fields of Evidence in `needs` are known and there are at least `points` finite points
    that are far enough apart.
    """

    kind: str
    needs: tuple[str, ...]
    points: int
    apply: Callable[[Any], str | None]

    def find(self, evidence: Evidence) -> str | None:
        known = all(getattr(evidence, name) is not None for name in self.needs)
        finite = any(point.is_finite for point in evidence.points)
        enough = self.points == 0 or (finite and len(evidence.curves.points) >= self.points)
        return self.apply(evidence) if known and enough else None


def collect_evidence(evaluations: Sequence[Row], final: Row | None, unigram: float | None) -> Evidence:
    """The evidence in the rows of metrics.jsonl: of its evaluations, and its final figures; older files have less."""
    points = tuple(
        Point(row["step"], float(row["loss/train"]), float(row["loss/val"]))
        for row in evaluations
        if "loss/train" in row and "loss/val" in row
    )
    epoch = float(evaluations[-1]["progress/epoch"]) if evaluations and "progress/epoch" in evaluations[-1] else None
    final = final or {}
    losses = [float(final[key]) if key in final else None for key in ("loss/train_best", "loss/val_best")]
    return Evidence(points, final.get("ended_by"), epoch, unigram, *losses)


def find_verdict(evidence: Evidence) -> Finding:
    """The first rule that applies."""
    for rule in RULES:
        if sentence := rule.find(evidence):
            return Finding(rule.kind, sentence)
    return Finding("unclear", "the curves of this run do not say what would improve it")


# The rules


def see_divergence(evidence: Evidence) -> str | None:
    last = evidence.points[-1] if evidence.points else None
    if last is not None and not last.is_finite:
        return f"diverged: at step {last.step:,} the loss is not a number"
    return None


def see_rise_of_training_loss(evidence: Evidence) -> str | None:
    points, last = evidence.curves.points, evidence.curves.last
    lowest = min(points, key=lambda point: point.train)
    known = evidence.unigram
    bound = max(DIVERGED, (known - lowest.train) / 3 if known is not None else math.inf)
    if last.train - lowest.train > bound:
        rose = f"the training loss rose from {lowest.train:.2f} to {last.train:.2f} nats"
        return f"diverged since step {lowest.step:,}: {rose}"
    return None


def see_learnt_text(evidence: Evidence) -> str | None:
    assert evidence.own_text is not None and evidence.held_out is not None
    if max(evidence.own_text, evidence.held_out) < LEARNT:
        return f"learnt: the held-out text has perplexity {math.exp(evidence.held_out):.2f}, there is no more to gain"
    return None


def see_unsteadiness(evidence: Evidence) -> str | None:
    curves, best = evidence.curves, evidence.curves.best
    if curves.last.val - best.val > curves.noise and curves.last.train > best.train + curves.noise:
        return f"unsteady since step {best.step:,}: both losses have risen, the steps are too large"
    return None


def see_overfitting(evidence: Evidence) -> str | None:
    curves, best = evidence.curves, evidence.curves.best
    if (rise := curves.last.val - best.val) > curves.noise:
        rose = f"the validation loss has risen by {rise:.2f} nats, the training loss has not; the best weights are kept"
        return f"overfits since step {best.step:,}: {rose}"
    return None


def see_unigram(evidence: Evidence) -> str | None:
    assert evidence.unigram is not None
    curves = evidence.curves
    half = curves.find_before(0.5)
    still = half.val - curves.last.val < curves.noise
    if still and curves.best.val > evidence.unigram - 5 * LEVEL:
        known = f"{curves.best.val:.2f} nats, where the characters' frequencies alone give {evidence.unigram:.2f}"
        return f"stuck at the unigram: {known}"
    return None


def see_gap(evidence: Evidence) -> str | None:
    assert evidence.own_text is not None and evidence.held_out is not None and evidence.epoch is not None
    gap = evidence.held_out - evidence.own_text
    if gap > GAP and evidence.epoch >= SEEN_OFTEN:
        return f"knows its own text better than others: {evidence.own_text:.2f} nats, {evidence.held_out:.2f} on val"
    return None


def see_unread_text(evidence: Evidence) -> str | None:
    assert evidence.epoch is not None
    if evidence.limit == "train.max_seconds" and evidence.epoch < 1:
        return f"stopped by train.max_seconds in epoch {evidence.epoch:.2g}: it has not read the whole text yet"
    return None


def see_falling(evidence: Evidence) -> str | None:
    curves, before = evidence.curves, evidence.curves.find_before(2 / 3)
    if (fall := before.val - curves.last.val) > curves.noise:
        where = "" if evidence.epoch is None else f" in epoch {evidence.epoch:.1f}"
        return f"stopped by {evidence.limit}{where}, still falling: by {fall:.2f} nats since step {before.step:,}"
    return None


def see_level(evidence: Evidence) -> str | None:
    assert evidence.own_text is not None and evidence.held_out is not None and evidence.epoch is not None
    curves = evidence.curves
    # Under a limit of time a larger model makes fewer steps, so the level must have been reached early
    since = curves.find_before(1 / 3 if evidence.limit == "train.max_seconds" else 2 / 3)
    level = since.val - curves.last.val <= max(LITTLE, curves.noise) and since is not curves.last
    if level and evidence.held_out - evidence.own_text <= GAP and evidence.epoch >= SEEN_OFTEN:
        own = f"no higher than on its own text ({evidence.own_text:.2f})"
        return f"levelled off: {curves.last.val:.2f} nats, {since.val:.2f} at step {since.step:,}, {own}"
    return None


RULES = (
    Rule("diverged", (), 0, see_divergence),
    Rule("diverged", ("unigram",), 2, see_rise_of_training_loss),
    Rule("learnt", ("own_text", "held_out"), 0, see_learnt_text),
    Rule("unsteady", (), 2, see_unsteadiness),
    Rule("overfits", (), 2, see_overfitting),
    Rule("unigram", ("unigram",), 3, see_unigram),
    Rule("gap", ("own_text", "held_out", "epoch"), 2, see_gap),
    Rule("unread", ("limit", "epoch"), 0, see_unread_text),
    Rule("level", ("own_text", "held_out", "epoch", "limit"), 3, see_level),
    Rule("falling", ("limit",), 2, see_falling),
)
