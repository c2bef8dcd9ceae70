"""How long a run takes: n-grams, training, the evaluations on the way, the final scores. What dominates is warned of.

n = characters of a piece.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lstmlm.evaluation.baselines import LIMIT
from lstmlm.evaluation.scoring import evaluate
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.shapes import count_params
from lstmlm.runs.prepare import Prepared, make_model_config
from lstmlm.system.duration import format_duration
from lstmlm.text.corpus import Corpus
from lstmlm.training.plan import Limits

log = logging.getLogger("lstmlm")

PROBES = (100, 1000)  # characters that are scored to measure the speed; the second number only where that is quick
QUICK = 0.02  # seconds
NGRAM_SECONDS = 3e-6  # for each character that n-grams are counted on or score, on a core of 2021
SAVES, SAVED_PER_SECOND = 3, 150e6  # checkpoints at each evaluation, and bytes of them that are written in a second
WORTH_SAYING = 10.0  # seconds: what takes less is not warned of
REASONABLE = 0.1  # of training: so long the evaluations, or the final scores, take by the advice of a warning


@dataclass(frozen=True)
class Speed:
    """Measured on this machine with the model of the run, in seconds."""

    per_step: float
    per_char: float  # scored as one stream


@dataclass(frozen=True)
class Estimate:
    """Seconds of each part of a run. `training` is without its evaluations, which `scoring` and `saving` make up."""

    ngrams: float
    training: float
    evaluations: int
    scoring: float
    saving: float
    final: float
    max_seconds: float | None  # the limit, if it ends training

    @property
    def fitting(self) -> float:
        """Of training with its evaluations."""
        return self.training + self.scoring + self.saving

    @property
    def total(self) -> float:
        return self.ngrams + self.fitting + self.final


def measure_seconds_per_char(model: RNNModel, ids: Tensor) -> float:
    """The seconds for each character of ids (n,), n at least 2, scored as one stream. No generator is drawn from."""
    seconds_per_char = 0.0
    for probe in PROBES:
        start = time.perf_counter()
        score = evaluate(model, ids[: probe + 1])
        seconds = time.perf_counter() - start
        seconds_per_char = seconds / score.num_chars
        if seconds > QUICK:
            break
    return seconds_per_char


def count_scored(pieces: Sequence[Tensor]) -> int:
    """The characters of pieces (n,) that are scored: all but the first of each."""
    return sum(max(len(piece) - 1, 0) for piece in pieces)


def estimate_evaluations(
    steps: int | None, max_seconds: float | None, eval_every: int, seconds_per_step: float, seconds_each: float
) -> int:
    """How many evaluations a run makes that ends after `steps` or `max_seconds`, whichever is first.

    The last one is after the limit.
    """
    by_steps = math.inf if steps is None else math.ceil(steps / eval_every)
    lap = eval_every * seconds_per_step + seconds_each
    by_seconds = math.inf if max_seconds is None else 1 + max_seconds // lap
    return int(min(by_steps, by_seconds))


def estimate_time(
    prepared: Prepared, limits: Limits, steps_per_epoch: int, val_pieces: list[Tensor], speed: Speed
) -> Estimate:
    """The time of a new run. `val_pieces`, each (n,), are what its evaluations score."""
    train, corpus = prepared.config.train, prepared.corpus
    steps, eval_chars = limits.count_steps(steps_per_epoch), count_scored(val_pieces)
    scoring, saving = eval_chars * speed.per_char, SAVES * count_saved_bytes(prepared) / SAVED_PER_SECOND
    each = scoring + saving
    eval_every = train.eval_every or steps_per_epoch
    evaluations = estimate_evaluations(steps, limits.max_seconds, eval_every, speed.per_step, each)
    training = math.inf if steps is None else steps * speed.per_step
    limited = limits.max_seconds is not None and limits.max_seconds < training + evaluations * each
    if limits.max_seconds is not None and limited:
        until_the_last = limits.max_seconds - (evaluations - 1) * each
        training = min(until_the_last, evaluations * eval_every * speed.per_step)
    ngrams = NGRAM_SECONDS * (min(corpus.split.size("train"), LIMIT) + eval_chars) if train.baselines else 0.0
    final = count_final_chars(corpus, eval_chars, train.ema is not None) * speed.per_char
    reached = limits.max_seconds if limited else None
    return Estimate(ngrams, training, evaluations, evaluations * scoring, evaluations * saving, final, reached)


def count_saved_bytes(prepared: Prepared) -> int:
    """The size of a checkpoint: weights, the two moments of the optimizer, and the average if one is kept."""
    params = count_params(make_model_config(prepared.config, prepared.corpus.vocab))
    return (3 + (prepared.config.train.ema is not None)) * 4 * params


def count_final_chars(corpus: Corpus, eval_chars: int, averages: bool) -> int:
    """The characters that the final scores are of; weights that the last evaluation has scored whole are known."""
    whole = count_scored(corpus.pieces("val"))
    known = 0 if whole == eval_chars else 2 * whole
    return count_scored(corpus.pieces("test")) + known + averages * whole


def announce_time(estimate: Estimate, prepared: Prepared, eval_chars: int) -> None:
    """Log the estimate, and a warning for each part that takes longer than training, with the setting that cures it."""
    limit = "" if estimate.max_seconds is None else " (train.max_seconds)"
    parts = {
        "n-grams": estimate.ngrams,
        f"training with {name_evaluations(estimate)}{limit}": estimate.fitting,
        "final scores": estimate.final,
    }
    named = ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in parts.items() if seconds >= 0.5)
    log.info("time: about %s%s", format_duration(estimate.total), f": {named}" * (", " in named or bool(limit)))
    for warning in list_warnings(estimate, prepared, eval_chars):
        log.info("warning: %s", warning)


def list_warnings(estimate: Estimate, prepared: Prepared, eval_chars: int) -> list[str]:
    """What takes longer than training, and the setting that shortens it."""
    bound = max(estimate.training, WORTH_SAYING)
    training = format_duration(estimate.training)
    found = []
    if estimate.ngrams > bound:
        found.append(
            f"the n-grams take about {format_duration(estimate.ngrams)}, training {training}: "
            f"train.baselines=false leaves them out"
        )
    if estimate.scoring > bound:
        fewer = max(100, round_down(eval_chars * REASONABLE * bound / estimate.scoring))
        found.append(
            f"{name_evaluations(estimate)} of {eval_chars:,} characters: about "
            f"{format_duration(estimate.scoring)}, training {training}: "
            f"train.eval_chars={fewer} or a larger train.eval_every shortens them"
        )
    if estimate.saving > bound:
        found.append(
            f"the checkpoints of {name_evaluations(estimate)} take about {format_duration(estimate.saving)} to "
            f"write, training {training}: a larger train.eval_every writes fewer"
        )
    if estimate.final > bound:
        share = REASONABLE * bound / estimate.final
        found.append(
            f"the final scores of whole val and test take about {format_duration(estimate.final)}, "
            f"training {training}: {suggest_split(prepared, share)} makes these parts smaller"
        )
    return found


def name_evaluations(estimate: Estimate) -> str:
    return f"{estimate.evaluations} evaluation{'s' * (estimate.evaluations != 1)}"


def suggest_split(prepared: Prepared, share: float) -> str:
    """data.split with held-out parts that are `share` of what they are, where the split is made of fractions."""
    split = prepared.config.data.split
    if not isinstance(split, list) or not all(isinstance(part, (int, float)) for part in split):
        return "another data.split"
    val, test = (float(f"{part * share:.1g}") for part in split[1:])
    return f"data.split=[{1 - val - test:.8g},{val:.8g},{test:.8g}]".replace(" ", "")


def round_down(number: float) -> int:
    """To one significant digit."""
    whole = str(int(number))
    return int(whole[0] + "0" * (len(whole) - 1))
