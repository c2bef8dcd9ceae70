"""The final figures of a run: its last, averaged and best weights scored on whole splits, and what training took."""

import copy
from typing import Any

import torch
from torch import Tensor

from lstmlm.evaluation.baselines import take_last
from lstmlm.evaluation.scoring import Score, sum_scores
from lstmlm.evaluation.side_by_side import iterate_side_by_side
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.time_estimate import count_scored
from lstmlm.system.bar import Bar
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
    scored again.
    """
    learner, best_step = trainer.learner, int(trainer.state.best["step"])
    known = find_known_scores(trainer, corpus)
    wanted: dict[str, tuple[Tensors, int | None]] = {}  # the weights, and their step if an evaluation has scored them
    if best_step != trainer.state.step:
        wanted["val_last"] = learner.model.book_weights(), trainer.state.step
    if learner.average is not None:
        wanted["val_ema"] = learner.average.to_book(), None
    wanted["val_best"] = best_weights, best_step
    if len(corpus.ids["test"]) > 1:
        wanted["test_best"] = best_weights, None
    wanted["train_best"] = best_weights, None
    unknown = {name: weights for name, (weights, step) in wanted.items() if step not in known}
    scores = score_weights(learner.model, unknown, corpus)
    scores |= {name: known[step] for name, (_, step) in wanted.items() if step in known}
    return {"val_last": scores["val_best"]} | {name: scores[name] for name in wanted}


def find_known_scores(trainer: Trainer, corpus: Corpus) -> dict[int, Score]:
    """The scores of the trainer's evaluations by step, if they are of the whole validation text."""
    num_chars = count_scored(corpus.pieces("val"))
    return {step: score for step, score in trainer.val_scores.items() if score.num_chars == num_chars}


def score_weights(model: RNNModel, weights: dict[str, Tensors], corpus: Corpus) -> dict[str, Score]:
    """Scores by name, `val_ema` for a part of the text and weights, with a bar on a terminal once they take a while.

    As many at a time as torch has threads; on a GPU one after the other.
    """
    threads = torch.get_num_threads() if model.W_hq.device.type == "cpu" else 1
    jobs = [(copy_with_weights(model, own), choose_pieces(corpus, name)) for name, own in weights.items()]
    scores = dict.fromkeys(weights, Score(0.0, 0))
    names, total = list(weights), sum(count_scored(pieces) for _, pieces in jobs)
    with Bar(total=total, desc=f"scoring {', '.join(names)}", unit="char", delay=2, leave=False) as bar:
        for k, nats in iterate_side_by_side(jobs, threads):
            scores[names[k]] += sum_scores([nats])
            bar.update(len(nats))
    return scores


def choose_pieces(corpus: Corpus, name: str) -> list[Tensor]:
    """The pieces of text that a score is of: those of its part, and of the training part the end."""
    which = name.partition("_")[0]
    pieces = corpus.pieces(which)
    return take_last(pieces, OWN_TEXT + 1) if which == "train" else pieces


def copy_with_weights(model: RNNModel, weights: Tensors) -> RNNModel:
    """A model of the same form with these weights, under the book's names."""
    copied = copy.deepcopy(model)
    copied.load_book_weights(weights)
    return copied


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
