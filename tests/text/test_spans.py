"""Spans as rows: every step of every span once, after the step before it."""

import itertools

import numpy as np
import pytest

from lstmlm.text import spans as module
from lstmlm.text.spans import Spans

LANES = {
    "one": [[(5, False)]],
    "a lane each": [[(3, False)], [(7, True)], [(7, False)], [(1, False)]],
    "several in a lane": [[(2, False), (4, True)], [(6, False)], [(1, False), (1, False), (3, False)]],
    "many": [[(1 + (7 * k + lane) % 9, k == 4) for k in range(5)] for lane in range(12)],
}


def make_spans(lanes):
    found = [(lane, length, more) for lane, own in enumerate(lanes) for length, more in own]
    starts = [start for own in lanes for start in np.cumsum([0, *(length for length, _ in own)])[:-1]]
    lane, length, more = map(np.array, zip(*found, strict=True))
    return Spans(lane, np.array(starts), length, more)


def count_steps(lengths):
    """Of all spans, where each different length counts as CALL of them."""
    return int(np.sum(lengths)) + module.CALL * len(set(np.asarray(lengths).tolist()))


def read_lengths(packed):
    """The lengths of the packed rows, the longest first."""
    return np.sort((np.arange(packed.left[0]) < packed.left[:, None]).sum(0))[::-1]


@pytest.mark.parametrize("lanes", LANES.values(), ids=LANES)
@pytest.mark.parametrize("form", ["packed", "rounded"])
def test_every_step_of_a_span_follows_the_one_before(lanes, form):
    spans = make_spans(lanes)
    packed, S, B = getattr(spans, form), len(spans.lengths), len(lanes)
    place_of = dict(zip(range(S, S + len(packed.places)), packed.places.tolist(), strict=True))  # of each state
    own = set(packed.own.tolist())
    seen = []
    for row, (place, before) in enumerate(zip(packed.places.tolist(), packed.before.tolist(), strict=True)):
        step, lane = divmod(place, B)
        if row not in own:
            continue
        seen.append((lane, step))
        starts = spans.starts[spans.lanes == lane].tolist()
        if before < S:  # a state before the first step
            assert step in starts and (before in packed.first_rows.tolist()) == (step == 0)
            assert step or packed.first_rows[lane] == before
        else:
            assert step not in starts and place_of[before] == place - B
    steps = [(lane, step) for lane, own in enumerate(lanes) for step in range(sum(length for length, _ in own))]
    assert sorted(seen) == steps


@pytest.mark.parametrize("lanes", LANES.values(), ids=LANES)
def test_the_state_of_a_lane_is_that_after_its_last_span(lanes):
    packed, S, B = (spans := make_spans(lanes)).packed, len(make_spans(lanes).lengths), len(lanes)
    ends = [sum(length for length, _ in own) - 1 for own in lanes]
    assert [divmod(packed.places[state - S], B) for state in packed.last_states] == [*zip(ends, range(B), strict=True)]
    rows = np.argsort(-spans.lengths, kind="stable")[packed.last_rows]
    assert spans.lanes[rows].tolist() == list(range(B))


@pytest.mark.parametrize("lanes", LANES.values(), ids=LANES)
@pytest.mark.parametrize("call", [0, 2, 50])
def test_rounded_spans_have_the_fewest_steps_of_all_choices(lanes, call, monkeypatch):
    monkeypatch.setattr(module, "CALL", call)
    spans = make_spans(lanes)
    places, exact = np.unique(spans.lengths).tolist(), set(spans.lengths[spans.goes_on].tolist())
    choices = []
    for count in range(1, len(places) + 1):
        for chosen in itertools.combinations(places, count):
            if chosen[-1] == places[-1] and exact <= set(chosen):
                choices.append([min(end for end in chosen if end >= length) for length in spans.lengths])
    assert count_steps(read_lengths(spans.rounded)) == min(map(count_steps, choices))
    assert (read_lengths(spans.packed) == np.sort(spans.lengths)[::-1]).all()
