"""The verdict on a run is what one sees in its curves, noise or not, given only where the evidence is there."""

import json
import math
import random
from dataclasses import replace

import pytest
from helpers.command_line import ROOT
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.runs.advice import CHANGES
from lstmlm.runs.curves import Point
from lstmlm.runs.verdict import RULES, Evidence, collect_evidence, find_verdict

UNIGRAM = 2.9
EVALUATIONS = range(1, 21)
RECORDED = sorted((ROOT / "tests" / "fixtures" / "curves").glob("*.json"))


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


def evidence_of(kind: str, count: int = len(EVALUATIONS), noise: float = 0.0) -> Evidence:
    """The evidence of a run of ten epochs with these curves."""
    chance = random.Random(0)
    train, val = (lambda k, curve=curve: curve(k) + chance.gauss(0, noise) for curve in CURVES[kind])
    points = tuple(Point(100 * k, train(k), val(k)) for k in EVALUATIONS[:count])
    held_out = min(point.val for point in points)
    own_text = held_out - (0.3 if kind == "gap" else 0.01)
    return Evidence(points, "train.max_epochs", 10.0, UNIGRAM, own_text, held_out)


def change_point(evidence: Evidence, at: int, **losses: float) -> Evidence:
    points = list(evidence.points)
    points[at] = replace(points[at], **losses)
    return replace(evidence, points=tuple(points))


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.01])
@pytest.mark.parametrize("kind", CURVES)
def test_each_curve_is_seen_for_what_it_is(kind, noise):
    assert find_verdict(evidence_of(kind, noise=noise)).kind == kind


def test_the_step_named_is_where_the_loss_was_lowest():
    evidence = evidence_of("overfits")
    lowest = min(evidence.points, key=lambda point: point.val)
    assert find_verdict(evidence).sentence.startswith(f"overfits since step {lowest.step:,}: ")
    assert "diverged since step 800: " in find_verdict(evidence_of("diverged")).sentence


@pytest.mark.parametrize("kind", ["falling", "gap", "level"])
@pytest.mark.parametrize("at", [5, 12, -1])
def test_one_odd_evaluation_does_not_decide(kind, at):
    for odd in (-0.3, 0.25):
        evidence = evidence_of(kind)
        assert find_verdict(change_point(evidence, at, val=evidence.points[at].val + odd)).kind == kind


def test_one_evaluation_is_no_curve_and_two_are_a_short_one():
    assert find_verdict(evidence_of("falling", 1)).kind == "unclear"
    assert find_verdict(evidence_of("falling", 2)).kind == "falling"
    rising = tuple(Point(k, 1.5 - k / 9, 1.5 + k / 9) for k in (1, 2))
    assert find_verdict(Evidence(rising)).kind == "overfits"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["train", "val"])
def test_a_loss_that_is_no_number_at_the_end_is_divergence_and_before_it_is_passed_over(key, value):
    evidence = change_point(evidence_of("falling"), 0, **{key: value})
    assert find_verdict(evidence).kind == "falling"
    evidence = change_point(evidence, -1, **{key: value})
    assert find_verdict(evidence).kind == "diverged"
    assert find_verdict(replace(evidence, points=evidence.points[-1:])).kind == "diverged"


def test_evaluations_nearer_than_a_tenth_of_the_run_are_no_trend():
    near = (Point(950, 1.5, 1.6), Point(1000, 1.4, 1.5))
    assert find_verdict(Evidence(near, "train.max_epochs")).kind == "unclear"
    assert find_verdict(Evidence((Point(900, 1.5, 1.6), near[1]), "train.max_epochs")).kind == "falling"


def test_training_loss_under_dropout_is_not_compared_with_held_out_loss():
    """The training loss of the curve is far above or below that of validation; only the scored text counts."""
    evidence = evidence_of("level")
    for shift in (-0.5, 0.5):
        points = tuple(replace(point, train=point.train + shift) for point in evidence.points)
        assert find_verdict(replace(evidence, points=points)).kind == "level"


def test_a_text_that_is_learnt_needs_no_larger_model():
    finding = find_verdict(replace(evidence_of("level"), own_text=0.01, held_out=0.02))
    assert finding.kind == "learnt" and "perplexity 1.02" in finding.sentence and finding.kind not in CHANGES


def test_under_a_limit_of_time_a_level_must_have_been_reached_early():
    late = Evidence(
        tuple(Point(100 * k, 1.4, 1.4 + max(0.0, 0.1 * (5 - k))) for k in range(1, 11)),
        *("train.max_steps", 5.0, UNIGRAM, 1.39, 1.4),
    )
    assert find_verdict(late).kind == "level"
    assert find_verdict(replace(late, limit="train.max_seconds")).kind != "level"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_runs_are_judged_as_their_curves_are(path):
    recorded = json.loads(path.read_text(encoding="utf-8"))
    evidence = collect_evidence(recorded["evaluations"], recorded["final"], recorded["unigram"])
    assert find_verdict(evidence).kind == recorded["verdict"]


# No advice where its evidence is missing

losses = st.floats(0.001, 5.0) | st.just(math.nan)
points = st.lists(st.builds(Point, st.integers(1, 1000), losses, losses), max_size=12, unique_by=lambda p: p.step)
anything = st.builds(
    Evidence,
    points.map(lambda found: tuple(sorted(found, key=lambda point: point.step))),
    st.none() | st.sampled_from(["train.max_epochs", "train.max_steps", "train.max_seconds", "train.patience"]),
    st.none() | st.floats(0, 100),
    st.none() | st.floats(1, 5),
    st.none() | st.floats(0.001, 5),
    st.none() | st.floats(0.001, 5),
)
# What each verdict that calls for a change is built on
NEEDED = {
    "unread": {"limit", "epoch"},
    "falling": {"limit", "points"},
    "overfits": {"points"},
    "unsteady": {"points"},
    "gap": {"own_text", "held_out", "epoch", "points"},
    "level": {"own_text", "held_out", "epoch", "limit", "points"},
    "unigram": {"unigram", "points"},
    "diverged": {"points"},
}


@given(anything)
def test_no_advice_where_its_evidence_is_missing(evidence):
    finding = find_verdict(evidence)
    assert set(NEEDED) == set(CHANGES)
    for name in NEEDED.get(finding.kind, ()):
        missing = replace(evidence, **{name: () if name == "points" else None})
        assert find_verdict(missing).kind != finding.kind, f"{finding.kind} without {name}"


@given(anything)
def test_a_trend_is_seen_only_between_points_a_tenth_of_the_run_apart(evidence):
    finite = [point for point in evidence.points if point.is_finite]
    if find_verdict(evidence).kind in {"falling", "overfits", "unsteady", "gap", "level", "unigram"}:
        assert finite[-1].step - finite[0].step >= 0.1 * finite[-1].step


@given(anything)
def test_every_evidence_has_a_verdict_in_one_line(evidence):
    finding = find_verdict(evidence)
    assert finding.kind in {rule.kind for rule in RULES} | {"unclear"}
    assert finding.sentence and "\n" not in finding.sentence and "None" not in finding.sentence
