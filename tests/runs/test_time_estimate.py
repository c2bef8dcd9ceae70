"""The time that scoring takes is told beforehand where it matters, and no weights are scored twice."""

import json
import re
from dataclasses import replace

import pytest
import torch
from helpers.command_line import SMALL_RUN, composed_config
from helpers.forms import make_model

from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.runs import final_scores
from lstmlm.runs.prepare import prepare
from lstmlm.runs.time_estimate import (
    Estimate,
    Speed,
    count_scored,
    estimate_evaluations,
    estimate_time,
    list_warnings,
    measure_seconds_per_char,
)
from lstmlm.training.plan import Limits

RUN = (*SMALL_RUN, "backend=nn", "train.baselines=false", "hydra.run.dir=run")


def test_evaluations_and_final_scores_are_estimated_by_their_characters():
    assert estimate_evaluations(100, None, 10, 0.1, 5.0) == 10
    assert estimate_evaluations(101, None, 10, 0.1, 5.0) == 11
    assert estimate_evaluations(None, 59.0, 10, 0.1, 5.0) == 10
    assert estimate_evaluations(None, 5.0, 10, 0.1, 5.0) == 1
    assert estimate_evaluations(20, 60.0, 10, 0.1, 5.0) == 2
    assert count_scored([torch.zeros(3), torch.zeros(1), torch.zeros(0), torch.zeros(9)]) == 10
    assert measure_seconds_per_char(make_model("nn"), torch.randint(7, (40,))) > 0


def final(tmp_path) -> dict:
    return json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("eval_chars", [None, 300])
def test_weights_that_an_evaluation_has_scored_whole_are_not_scored_again(train, tmp_path, monkeypatch, eval_chars):
    scored: list[str] = []
    score = final_scores.score_weights
    monkeypatch.setattr(final_scores, "score_weights", lambda *words: scored.extend(words[1]) or score(*words))
    limit = f"train.eval_chars={'null' if eval_chars is None else eval_chars}"
    assert train(*RUN, limit)[0] == 0
    assert set(scored) == {"test_best", "train_best"} | ({"val_best"} if eval_chars else set())
    figures = final(tmp_path)
    assert figures["loss/val_best"] > 0
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


@pytest.fixture(scope="module")
def prepared():
    return prepare(composed_config(*SMALL_RUN, "data.split=[0.9,0.05,0.05]"))


# Seconds of n-grams, training, 10 evaluations (scoring, saving) and final scores
QUICK = Estimate(0.5, 20.0, 10, 1.0, 1.0, 1.0, None)
DOMINANT = [
    ("ngrams", "the n-grams take about 3 min 20 s, training 20 s: train.baselines=false leaves them out"),
    ("scoring", "10 evaluations of 8,200 characters: about 3 min 20 s, training 20 s: train.eval_chars=100 "),
    (
        "saving",
        "the checkpoints of 10 evaluations take about 3 min 20 s to write, training 20 s: a larger train.eval_eve",
    ),
    ("final", "the final scores of whole val and test take about 3 min 20 s, training 20 s: data.split=[0.99"),
]


def test_a_run_that_trains_for_most_of_its_time_is_not_warned_of(prepared):
    assert list_warnings(QUICK, prepared, 8200) == [] and QUICK.total == 23.5


@pytest.mark.parametrize(("part", "says"), DOMINANT, ids=[part for part, _ in DOMINANT])
def test_a_part_that_takes_longer_than_training_is_warned_of_with_the_setting_that_shortens_it(prepared, part, says):
    (warning,) = list_warnings(replace(QUICK, **{part: 200.0}), prepared, 8200)
    assert warning.startswith(says)


def test_the_settings_that_warnings_propose_can_be_typed_and_cure_what_they_warn_of(prepared):
    slow = replace(QUICK, scoring=2000.0, final=2000.0)
    words = re.findall(r"[a-z_.]+=\S+", " ".join(list_warnings(slow, prepared, 8200)))
    config = composed_config(*SMALL_RUN, *words)
    train, val, test = config.data.split
    assert train + val + test == pytest.approx(1) and val == test == pytest.approx(0.05 * 0.1 * 20 / 2000)
    assert config.train.eval_chars == 100


def test_a_part_of_a_named_split_is_warned_of_without_fractions(prepared):
    named = replace(prepared, config=composed_config("data.split=nanogpt"))
    (warning,) = list_warnings(replace(QUICK, final=200.0), named, 8200)
    assert warning.endswith("another data.split makes these parts smaller")


def test_an_estimate_counts_n_grams_training_evaluations_saves_and_final_scores(prepared):
    val = prepared.corpus.pieces("val")
    whole = estimate_time(prepared, Limits(max_steps=40), 100, val, Speed(0.1, 0.001))
    assert whole.training == 4.0 and whole.evaluations == 2 and whole.scoring == pytest.approx(2 * 8.2)
    assert whole.final == pytest.approx(8.2) and whole.ngrams > 0 and whole.saving > 0 and whole.max_seconds is None
    assert whole.total == pytest.approx(whole.ngrams + 4 + 2 * 8.2 + whole.saving + 8.2)
    timed = estimate_time(prepared, Limits(max_seconds=30.0), 100, val, Speed(0.1, 0.001))
    assert timed.max_seconds == 30 and timed.evaluations == 3 and timed.final == whole.final
    assert timed.training == pytest.approx(6) and timed.fitting == pytest.approx(3 * (2 + 8.2) + timed.saving)
    short = estimate_time(prepared, Limits(max_seconds=1.5), 100, val, Speed(0.1, 0.001))
    assert short.evaluations == 1 and short.training == 1.5


def test_a_run_tells_its_time_before_it_trains(train):
    out = train(*RUN)[1]
    assert 0 <= out.index("\ntime: about ") < out.index("\nstep 0 ")
