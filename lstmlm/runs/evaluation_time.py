"""How long a run scores: the n-grams at its start, the evaluations on the way, the final scores.

n = characters of a piece.
"""

import logging
import math
import time
from collections.abc import Sequence

from torch import Tensor

from lstmlm.evaluation.baselines import LIMIT
from lstmlm.evaluation.scoring import evaluate
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.announcement import format_duration
from lstmlm.text.corpus import Corpus
from lstmlm.training.trainer import Trainer

log = logging.getLogger("lstmlm")

PROBES = (100, 1000)  # characters that are scored to measure the speed; the second number only where that is quick
QUICK = 0.02  # seconds
NGRAM_SECONDS = 3e-6  # for each character that n-grams are counted on or score, on a core of 2021
WORTH_SAYING = 10.0  # seconds of n-grams, or of evaluations that take longer than training


def estimate_evaluation_seconds(
    seconds_per_char: float, eval_chars: int, final_chars: int, evaluations: float
) -> tuple[float, float]:
    """The seconds of all evaluations on the way, and of the final scores."""
    return evaluations * eval_chars * seconds_per_char, final_chars * seconds_per_char


def estimate_evaluations(
    steps: int | None, max_seconds: float | None, eval_every: int, seconds_per_step: float, seconds_each: float
) -> int:
    """How many evaluations a run makes that ends after `steps` or `max_seconds`, whichever is first."""
    by_steps = math.inf if steps is None else math.ceil(steps / eval_every)
    lap = eval_every * seconds_per_step + seconds_each
    by_seconds = math.inf if max_seconds is None else math.ceil(max_seconds / lap)
    return int(min(by_steps, by_seconds))


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


def announce_ngrams(train_chars: int, val_chars: int) -> None:
    """Log that the n-grams take their time, where they do."""
    seconds = NGRAM_SECONDS * (min(train_chars, LIMIT) + val_chars)
    if seconds > WORTH_SAYING:
        log.info("n-grams: %s to count and score them (train.baselines=false: without)", format_duration(seconds))


def announce_evaluations(trainer: Trainer, corpus: Corpus, seconds_per_step: float) -> None:
    """Log how long the evaluations take, where that is longer than training, and the settings that shorten them."""
    val_pieces, limits = trainer.evaluator.val_pieces, trainer.plan.limits
    val_chars = count_scored(val_pieces)
    seconds_per_char = measure_seconds_per_char(trainer.learner.model, max(val_pieces, key=len))
    steps = limits.count_steps(trainer.streams.steps_per_epoch)
    each = val_chars * seconds_per_char
    evaluations = estimate_evaluations(steps, limits.max_seconds, trainer.eval_every, seconds_per_step, each)
    whole = count_scored(corpus.pieces("val"))
    final_chars = count_scored(corpus.pieces("test"))
    if whole != val_chars:  # else the evaluations have scored these weights
        final_chars += 2 * whole
    if trainer.learner.average is not None:
        final_chars += whole
    during, at_end = estimate_evaluation_seconds(seconds_per_char, val_chars, final_chars, evaluations)
    training = min(math.inf if steps is None else steps * seconds_per_step, limits.max_seconds or math.inf)
    training = max(training - during, 0) if limits.max_seconds is not None else training
    if during + at_end > max(training, WORTH_SAYING):
        log.info(
            "warning: %d evaluations of %s characters take %s, training %s: train.eval_chars and train.eval_every "
            "limit them; the final scores, %s, are of whole parts: only smaller ones (data.split) shorten them",
            *(evaluations, f"{val_chars:,}", format_duration(during), format_duration(training)),
            format_duration(at_end),
        )
