"""The time that scoring takes is told beforehand where it matters, and no weights are scored twice."""

import json
import re

import pytest
import torch
from helpers.command_line import SMALL_RUN
from helpers.forms import make_model

from lstmlm.evaluation import scoring_bar
from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.runs import assemble, final_scores
from lstmlm.runs.time_estimate import count_scored, estimate_evaluations, measure_seconds_per_char

RUN = (*SMALL_RUN, "backend=nn", "train.baselines=false", "hydra.run.dir=run")


def test_evaluations_and_final_scores_are_estimated_by_their_characters():
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

    iterate = scoring_bar.iterate_nats
    monkeypatch.setattr(scoring_bar, "iterate_nats", count)
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


def test_each_part_that_takes_longer_than_training_is_warned_of_with_the_setting_that_shortens_it(train, monkeypatch):
    monkeypatch.setattr(assemble, "measure_seconds_per_char", lambda model, ids: 0.01)
    code, out, _ = train(*RUN, "data.split=[0.9,0.05,0.05]", "train.eval_chars=4000")
    evaluations, final = (line for line in out.splitlines() if line.startswith("warning: "))
    assert code == 0 and "train.eval_chars=100 " in evaluations and "train.eval_every" in evaluations
    assert "data.split=[0.9964,0.0018,0.0018]" in final or "data.split=[0.996,0.002,0.002]" in final
    monkeypatch.setattr(assemble, "measure_seconds_per_char", lambda model, ids: 1e-9)
    out = train(*RUN[:-1], "hydra.run.dir=again")[1]
    assert "warning: " not in out and "time: about " in out


def test_the_split_that_a_warning_proposes_can_be_typed(train, tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "measure_seconds_per_char", lambda model, ids: 0.01)
    out = train(*RUN, "data.split=[0.9,0.05,0.05]")[1]
    (proposed,) = set(re.findall(r"data\.split=\S+", out)) - {"data.split=[0.9,0.05,0.05]"}
    assert train(*RUN[:-1], proposed, "hydra.run.dir=again")[0] == 0


def test_a_limit_of_time_leaves_out_what_comes_before_and_after_training(train, monkeypatch):
    monkeypatch.setattr(assemble, "measure_seconds_per_char", lambda model, ids: 0.001)
    limits = ("train.max_steps=null", "train.max_seconds=1", "train.eval_chars=300")
    out = train(*RUN, *limits)[1]
    assert re.search(r"time: about \d+ s: training with \d+ evaluations? \(train\.max_seconds\) 1 s, final scores", out)
