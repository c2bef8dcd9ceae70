"""The verdict on a run is what one sees in its curves, noise or not, and the next command is one that can be typed."""

import math
import random
import shlex
from pathlib import Path

import pytest
from helpers.command_line import SMALL_RUN, composed_config

from lstmlm.runs.verdict import NEXT, judge_run
from lstmlm.system.dotted import flatten
from lstmlm.training.metrics import read_evaluations

UNIGRAM = 2.9
EVALUATIONS = range(1, 21)


def decay(k: int, baseline: float = 1.2, pace: float = 5.0) -> float:
    return baseline + 1.5 * math.exp(-k / pace)


# The training and the validation loss at evaluation k, and what they mean
CURVES = {
    "falling": (lambda k: decay(k, 1.1, 15), lambda k: decay(k, 1.2, 15)),
    "overfits": (lambda k: decay(k, 0.4, 8), lambda k: decay(k, 1.2, 3) + 0.03 * max(0, k - 8)),
    "gap": (lambda k: decay(k, 1.0, 2), lambda k: decay(k, 1.3, 2)),
    "level": (lambda k: decay(k, 1.3, 2), lambda k: decay(k, 1.31, 2)),
    "unigram": (lambda k: 2.91, lambda k: 2.89),
    "unsteady": (lambda k: decay(k, 1.2, 2) + 0.02 * max(0, k - 8), lambda k: decay(k, 1.2, 2) + 0.03 * max(0, k - 8)),
    "diverged": (lambda k: decay(k) if k < 9 else 3.1, lambda k: decay(k) if k < 9 else 3.2),
}


def rows_of(curves, count: int = len(EVALUATIONS), noise: float = 0.0) -> list[dict]:
    chance = random.Random(0)
    train, val = (lambda k, curve=curve: curve(k) + chance.gauss(0, noise) for curve in curves)
    return [{"step": 100 * k, "loss/train": train(k), "loss/val": val(k)} for k in EVALUATIONS[:count]]


@pytest.fixture(scope="module")
def config():
    return composed_config()


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.01])
@pytest.mark.parametrize("kind", CURVES)
def test_each_curve_is_seen_for_what_it_is(config, kind, noise):
    assert judge_run(rows_of(CURVES[kind], noise=noise), UNIGRAM, config, "runs/mine").kind == kind


def test_the_step_named_is_where_the_validation_loss_was_lowest(config):
    said = judge_run(rows_of(CURVES["overfits"]), UNIGRAM, config, "runs/mine").sentence
    lowest = min(rows_of(CURVES["overfits"]), key=lambda row: row["loss/val"])
    assert said.startswith(f"overfits since step {lowest['step']:,}: ")
    assert "diverged since step 800: " in judge_run(rows_of(CURVES["diverged"]), UNIGRAM, config, "x").sentence


@pytest.mark.parametrize("kind", ["falling", "gap", "level"])
@pytest.mark.parametrize("at", [5, 12, -1])
def test_one_odd_evaluation_does_not_decide(config, kind, at):
    for odd in (-0.3, 0.25):
        rows = rows_of(CURVES[kind])
        rows[at] = {**rows[at], "loss/val": rows[at]["loss/val"] + odd}
        assert judge_run(rows, UNIGRAM, config, "runs/mine").kind == kind


def test_one_evaluation_is_no_curve_and_two_are_a_short_one(config):
    assert judge_run(rows_of(CURVES["falling"], 1), UNIGRAM, config, "x").kind == "short"
    assert judge_run(rows_of(CURVES["falling"], 2), UNIGRAM, config, "x").kind == "falling"
    rising = [{"step": k, "loss/train": 1.5 - k / 9, "loss/val": 1.5 + k / 9} for k in (1, 2)]
    assert judge_run(rising, UNIGRAM, config, "x").kind == "overfits"


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["loss/train", "loss/val"])
def test_a_loss_that_is_no_number_at_the_end_is_divergence_and_before_it_is_passed_over(config, key, value):
    rows = rows_of(CURVES["falling"])
    rows[0] = {**rows[0], key: value}
    assert judge_run(rows, UNIGRAM, config, "x").kind == "falling"
    rows[-1] = {**rows[-1], key: value}
    assert judge_run(rows, UNIGRAM, config, "x").kind == "diverged"
    assert judge_run(rows[-1:], UNIGRAM, config, "x").kind == "diverged"


def changes(kind: str, *overrides: str) -> dict:
    """What the next command would change of the settings, read as the command line reads it."""
    before = composed_config(*overrides)
    rows = rows_of(CURVES.get(kind, CURVES["falling"]), 1 if kind == "short" else 20)
    words = shlex.split(judge_run(rows, UNIGRAM, before, "runs/it's mine").command)
    assert words[:3] == ["python", "-m", "lstmlm"]
    if words[4:5] == ["resume=runs/it's mine"]:
        words[4:5] = overrides
    now = flatten(composed_config(*words[4:]))
    return {"command": words[3]} | {key: value for key, value in now.items() if value != flatten(before)[key]}


COMMANDS = [
    ("falling", [], {"train.max_epochs": 20}),
    ("short", ["train.max_epochs=null", "train.max_steps=1500000"], {"train.max_steps": 3000000}),
    ("overfits", ["data=file", "data.path=a (b).txt"], {"model.dropout": 0.4}),
    ("gap", ["model.dropout=0.5"], {"model.num_hiddens": 128}),
    ("level", ["experiment=d2l"], {"model.num_hiddens": 512}),
    ("unsteady", ["train.lr=1.0"], {"train.lr": 0.3}),
    ("diverged", [], {"train.lr": 0.003}),
    ("unigram", ["backend=nn"], {}),
]


@pytest.mark.parametrize(("kind", "overrides", "changed"), COMMANDS, ids=[kind for kind, *_ in COMMANDS])
def test_the_next_command_is_the_same_run_with_one_setting_changed(kind, overrides, changed):
    assert changes(kind, *overrides) == {"command": "lr_find" if kind == "unigram" else "train"} | changed


def test_every_kind_has_a_next_command():
    assert set(NEXT) == {*CURVES, "short"} == {kind for kind, *_ in COMMANDS}


def test_a_real_run_has_a_verdict_and_goes_on_by_the_command_given(train):
    assert train(*SMALL_RUN, "backend=nn", "hydra.run.dir=run")[0] == 0
    rows = read_evaluations(Path("run/metrics.jsonl"))
    assert [row["step"] for row in rows] == [20, 40]
    said = judge_run(rows, UNIGRAM, composed_config(*SMALL_RUN, "backend=nn"), "run")
    assert said.kind == "falling" and "still falling: by" in said.sentence
    code, out, _ = train(*shlex.split(said.command)[4:])
    assert code == 0 and "resuming from step 40" in out
    assert [row["step"] for row in read_evaluations(Path("run/metrics.jsonl"))][-1] == 80
