"""The time that scoring takes is told beforehand where it matters, and no weights are scored twice."""

import json

import pytest
import torch
from helpers.command_line import SMALL_RUN
from helpers.forms import make_model
from lstmlm.runs.evaluation_time import (
    count_scored,
    estimate_evaluation_seconds,
    estimate_evaluations,
    measure_seconds_per_char,
)

from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.runs import evaluation_time, final_scores

RUN = (*SMALL_RUN, "backend=nn", "train.baselines=false", "hydra.run.dir=run")


def test_evaluations_and_final_scores_are_estimated_by_their_characters():
    assert estimate_evaluation_seconds(0.5, 10, 100, 3) == (15, 50)
    assert estimate_evaluations(100, None, 10, 0.1, 5.0) == 10
    assert estimate_evaluations(101, None, 10, 0.1, 5.0) == 11
    assert estimate_evaluations(None, 60.0, 10, 0.1, 5.0) == 10
    assert estimate_evaluations(20, 60.0, 10, 0.1, 5.0) == 2
    assert count_scored([torch.zeros(3), torch.zeros(1), torch.zeros(0), torch.zeros(9)]) == 10
    assert measure_seconds_per_char(make_model("nn"), torch.randint(7, (40,))) > 0


def final(tmp_path) -> dict:
    return json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("eval_chars", [None, 300])
def test_weights_that_an_evaluation_has_scored_whole_are_not_scored_again(train, tmp_path, monkeypatch, eval_chars):
    scored = []

    def count(model, pieces):
        scored.append(count_scored(pieces))
        return iterate(model, pieces)

    iterate = final_scores.iterate_nats
    monkeypatch.setattr(final_scores, "iterate_nats", count)
    limit = f"train.eval_chars={'null' if eval_chars is None else eval_chars}"
    assert train(*RUN, limit)[0] == 0
    test_chars = scored[-1]
    assert scored[:-1] == [] if eval_chars is None else all(chars > eval_chars for chars in scored)
    figures = final(tmp_path)
    assert test_chars > 300 and figures["loss/val_best"] > 0
    if eval_chars is None:
        rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        assert figures["loss/val_last"] == rows[-2]["loss/val"]


def test_a_known_score_is_that_of_scoring_again(train, tmp_path, monkeypatch):
    known = final_scores.find_known_scores

    def check(trainer, corpus):
        scores = known(trainer, corpus)
        assert scores[trainer.state.step] == evaluate_pieces(trainer.learner.model, corpus.pieces("val"))
        return scores

    monkeypatch.setattr(final_scores, "find_known_scores", check)
    assert train(*RUN)[0] == 0


def test_a_run_whose_evaluations_take_longer_than_training_says_so_and_what_shortens_them(train, monkeypatch):
    monkeypatch.setattr(evaluation_time, "measure_seconds_per_char", lambda model, ids: 0.01)
    code, out, _ = train(*RUN)
    (line,) = [line for line in out.splitlines() if "evaluations of" in line]
    assert code == 0 and "train.eval_chars" in line and "train.eval_every" in line and "data.split" in line
    monkeypatch.setattr(evaluation_time, "measure_seconds_per_char", lambda model, ids: 1e-9)
    assert "evaluations of" not in train(*RUN[:-1], "hydra.run.dir=again")[1]
