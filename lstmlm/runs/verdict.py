"""The verdict on a finished run, in plain words, and the command to try next. Losses are in nats per character."""

import math
from dataclasses import dataclass, replace
from statistics import median

from lstmlm.settings.config import Config
from lstmlm.settings.hydra_yaml import to_words
from lstmlm.system.shell_words import join_words
from lstmlm.training.metrics import Row

LEVEL = 0.01  # nats: a smaller change of the loss counts as none
GAP = 0.1  # nats: with a validation loss so far above the training loss, more dropout is worth a try


@dataclass(frozen=True)
class Verdict:
    kind: str  # a key of NEXT
    sentence: str
    command: str  # to try next, as it is typed


def judge_run(evaluations: list[Row], unigram: float, config: Config, directory: str) -> Verdict:
    """The verdict on a run by its curves.

    `evaluations` are rows of metrics.jsonl, at least one, of which step, loss/train and loss/val are read. `unigram` is
    the validation loss of a model that knows the characters' frequencies alone. `config` and `directory` are those of
    the run; the next command is made of them.
    """
    rows = [(row["step"], float(row["loss/train"]), float(row["loss/val"])) for row in evaluations]
    kind, sentence = judge_curves(rows, unigram)
    command, words = NEXT[kind](config, directory)
    return Verdict(kind, sentence, join_words(["python", "-m", "lstmlm", command, *words]))


def judge_curves(rows: list[tuple[int, float, float]], unigram: float) -> tuple[str, str]:
    """(kind, sentence) for rows of step, training loss and validation loss."""
    if not all(map(math.isfinite, rows[-1])):
        return "diverged", f"diverged: at step {rows[-1][0]:,} the loss is not a number"
    steps, *losses = zip(*(row for row in rows if all(map(math.isfinite, row))), strict=True)
    if len(steps) == 1:
        apart = losses[1][0] - unigram
        known = f"{abs(apart):.2f} nats {'below' if apart < 0 else 'above'} what the characters' frequencies alone give"
        return "short", f"too short to tell: one evaluation, {known}"
    noise = max(LEVEL, *(2 * measure_jitter(values) for values in losses))
    train, val = map(smooth, losses)
    first, best = find_lowest(train, losses[0]), find_lowest(val, losses[1])

    if train[-1] - train[first] > max(0.3, (unigram - train[first]) / 3):
        rose = f"the training loss rose from {train[first]:.2f} to {train[-1]:.2f} nats"
        return "diverged", f"diverged since step {steps[first]:,}: {rose}"
    rise = val[-1] - val[best]
    if rise > noise and train[-1] > train[best] + noise:
        return "unsteady", f"unsteady since step {steps[best]:,}: both losses have risen, the steps are too large"
    if rise > noise:
        rose = f"the validation loss has risen by {rise:.2f} nats, the training loss has not; the best weights are kept"
        return "overfits", f"overfits since step {steps[best]:,}: {rose}"
    third = max(1, len(steps) // 3)
    if (fall := val[-1 - third] - val[-1]) > noise:
        return "falling", f"still falling: by {fall:.2f} nats since step {steps[-1 - third]:,}, to {val[-1]:.2f}"
    if val[best] > unigram - 5 * LEVEL:
        known = f"{val[best]:.2f} nats, where the characters' frequencies alone give {unigram:.2f}"
        return "unigram", f"stuck at the unigram: {known}"
    levelled = f"levelled off at {val[-1]:.2f} nats"
    if (gap := val[-1] - train[-1]) > GAP:
        return "gap", f"{levelled}, {gap:.2f} above the training loss: it knows its own text better than others"
    return "level", f"{levelled}, no higher than on its own text: a larger model may learn more"


# The curves


def smooth(values: tuple[float, ...]) -> list[float]:
    """The medians of three neighbours, so that one odd evaluation does not decide. A short curve is not changed."""
    if len(values) < 6:
        return list(values)
    starts = (min(max(k - 1, 0), len(values) - 3) for k in range(len(values)))
    return [median(values[start : start + 3]) for start in starts]


def find_lowest(smoothed: list[float], values: tuple[float, ...]) -> int:
    """The index where the smoothed curve is lowest; of several, the one where the curve itself is lowest."""
    return min(range(len(values)), key=lambda k: (smoothed[k], values[k]))


def measure_jitter(values: tuple[float, ...]) -> float:
    """The standard deviation of a curve's noise, from the second differences of its later half; 0 for a short curve."""
    if len(values) < 6:
        return 0.0
    bends = [values[k - 1] - 2 * values[k] + values[k + 1] for k in range(len(values) // 2, len(values) - 1)]
    return median(map(abs, bends)) / (0.6745 * math.sqrt(6))  # of normal noise


# What to try next: a command of this program and its words


def prolong(config: Config, directory: str) -> tuple[str, list[str]]:
    """The same run, twice as long."""
    limits = {key: getattr(config.train, key) for key in ("max_epochs", "max_steps", "max_seconds", "patience")}
    return "train", [f"resume={directory}", *(f"train.{key}={2 * n}" for key, n in limits.items() if n is not None)]


def lower_rate(config: Config, directory: str) -> tuple[str, list[str]]:
    lr = float(f"{config.train.lr / 3:.1g}")
    return "train", to_words(replace(config, train=replace(config.train, lr=lr)))


def find_rate(config: Config, directory: str) -> tuple[str, list[str]]:
    return "lr_find", to_words(config)


def regularize(config: Config, directory: str) -> tuple[str, list[str]]:
    """More dropout, up to a half; beyond it a smaller model."""
    model = config.model
    if model.dropout < 0.5:
        model = replace(model, dropout=round(min(0.5, model.dropout + 0.2), 3))
    else:
        model = replace(model, num_hiddens=max(1, model.num_hiddens // 2))
    return "train", to_words(replace(config, model=model))


def enlarge(config: Config, directory: str) -> tuple[str, list[str]]:
    model = replace(config.model, num_hiddens=2 * config.model.num_hiddens)
    return "train", to_words(replace(config, model=model))


NEXT = {
    "short": prolong,
    "falling": prolong,
    "overfits": regularize,
    "gap": regularize,
    "level": enlarge,
    "unigram": find_rate,
    "unsteady": lower_rate,
    "diverged": lower_rate,
}
