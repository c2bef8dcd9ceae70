"""The final figures of a run: its last, averaged and best weights scored on whole splits, and what training took."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lstmlm.evaluation.scoring import Score, evaluate
from lstmlm.evaluation.scoring_bar import score_with_bar
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.time_estimate import count_scored
from lstmlm.text.corpus import Corpus
from lstmlm.training.tags import make_score_tags
from lstmlm.training.trainer import Trainer

OWN_TEXT = 10_000  # characters of the training part, its last ones, are scored to compare with the held-out text


def score_final_weights(trainer: Trainer, best_weights: Tensors, corpus: Corpus) -> dict[str, Score]:
    """The scores by split and weights: `val_last`, `val_ema` if an average is kept, `val_best`, `test_best`, and
    `train_best`, of the last OWN_TEXT characters of the training part, without dropout.

    The best weights are chosen by the validation text, so their score on it is a little too good: to compare settings
    on it, use the last or the averaged weights, both as they are at the end of the run. The test text is scored once,
    with the best weights. Weights that an evaluation of this process has scored on the whole validation text are not
    scored again. The model has its own weights again afterwards.
    """
    learner, model, state, scores = trainer.learner, trainer.learner.model, trainer.state, {}
    known, best_step = find_known_scores(trainer, corpus), int(state.best["step"])
    if best_step != state.step:
        scores["val_last"] = known.get(state.step) or score_part(model, corpus, "val", "last weights")
    if learner.average is not None:
        with replace_weights(model, learner.average.to_book()):
            scores["val_ema"] = score_part(model, corpus, "val", "averaged weights")
    with replace_weights(model, best_weights):
        scores["val_best"] = known.get(best_step) or score_part(model, corpus, "val", "best weights")
        if len(corpus.ids["test"]) > 1:
            scores["test_best"] = score_part(model, corpus, "test", "best weights")
        scores["train_best"] = evaluate(model, corpus.ids["train"][-OWN_TEXT - 1 :])
    return {"val_last": scores["val_best"]} | scores


def find_known_scores(trainer: Trainer, corpus: Corpus) -> dict[int, Score]:
    """The scores of the trainer's evaluations by step, if they are of the whole validation text."""
    num_chars = count_scored(corpus.pieces("val"))
    return {step: score for step, score in trainer.val_scores.items() if score.num_chars == num_chars}


def score_part(model: RNNModel, corpus: Corpus, which: str, weights: str) -> Score:
    """Score a part of the text."""
    return score_with_bar(model, corpus.pieces(which), f"scoring {which}, {weights}")


@contextlib.contextmanager
def replace_weights(model: RNNModel, weights: Tensors) -> Iterator[None]:
    """Other weights in the model, under the book's names, for the block; then its own again."""
    own = model.book_weights()
    model.load_book_weights(weights)
    try:
        yield
    finally:
        model.load_book_weights(own)


def collect_final_figures(
    trainer: Trainer, corpus: Corpus, scores: dict[str, Score], cpu_seconds: float | None
) -> dict[str, Any]:
    """The figures of the last row of metrics.jsonl. `cpu_seconds` are those until the end of training."""
    state = trainer.state
    figures: dict[str, Any] = {
        "step": state.step,
        "best_step": state.best["step"],
        "best_epoch": state.best["progress/epoch"],
    }
    for name, score in scores.items():
        figures |= make_score_tags(name, score)
        if name != "train_best":
            figures[f"bpb/{name}"] = score.bits_per_char / corpus.bytes_per_char(name.partition("_")[0])
    figures |= {"split": corpus.split.name, "hashes": corpus.hashes}
    limits, per_epoch = trainer.plan.limits, trainer.streams.steps_per_epoch
    reached = limits.list_reached(state.step, per_epoch, state.clock.seconds, state.evaluations_since_best)
    return figures | {
        "ended_by": f"train.{reached[0]}" if reached else None,
        "seconds": state.clock.seconds,
        "cpu_seconds": cpu_seconds,
        "chars_per_s": trainer.chars_per_second,
    }
