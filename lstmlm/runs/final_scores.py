"""The final figures of a run: its last, averaged and best weights scored on whole splits, and what training took."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lstmlm.evaluation.scoring import Score, evaluate_pieces
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.corpus import Corpus
from lstmlm.training.tags import make_score_tags
from lstmlm.training.trainer import Trainer


def score_final_weights(trainer: Trainer, best_weights: Tensors, corpus: Corpus) -> dict[str, Score]:
    """The scores by split and weights: `val_last`, `val_ema` if an average is kept, `val_best`, `test_best`.

    The best weights are chosen by the validation text, so their score on it is a little too good: to compare settings
    on it, use the last or the averaged weights, both as they are at the end of the run. The test text is scored once,
    with the best weights. The model has its own weights again afterwards.
    """
    learner, state, scores = trainer.learner, trainer.state, {}
    if state.best["step"] != state.step:
        scores["val_last"] = evaluate_pieces(learner.model, corpus.pieces("val"))
    if learner.average is not None:
        with replace_weights(learner.model, learner.average.to_book()):
            scores["val_ema"] = evaluate_pieces(learner.model, corpus.pieces("val"))
    with replace_weights(learner.model, best_weights):
        for which in ("val", "test"):
            if len(corpus.ids[which]) > 1:
                scores[f"{which}_best"] = evaluate_pieces(learner.model, corpus.pieces(which))
    return {"val_last": scores["val_best"]} | scores


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
        figures[f"bpb/{name}"] = score.bits_per_char / corpus.bytes_per_char(name.partition("_")[0])
    figures |= {"split": corpus.split.name, "hashes": corpus.hashes}
    return figures | {
        "seconds": state.clock.seconds,
        "cpu_seconds": cpu_seconds,
        "chars_per_s": trainer.chars_per_second,
    }
