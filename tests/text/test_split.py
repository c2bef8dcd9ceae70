"""The parts of a split share no character, and the named ones are those of the published numbers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.system.errors import BadInput
from lstmlm.text.split import NAMED, SPLITS, make_split, split_at_files

SHAKESPEARE = 1_115_394  # characters

fractions = st.lists(st.floats(0.05, 1), min_size=3, max_size=3).map(lambda f: [x / (sum(f) * 1.0001) for x in f])
specs = fractions | st.sampled_from(sorted(NAMED))


@given(st.integers(5000, 30_000), specs, st.none() | st.integers(2, 400))
def test_the_parts_share_no_character(length, spec, max_tokens):
    split = make_split(length, spec, max_tokens)
    parts = {which: [k for start, end in split.pieces[which] for k in range(start, end)] for which in SPLITS}
    every = sorted(itertools.chain.from_iterable(parts.values()))
    assert len(set(every)) == len(every) and (not every or (every[0] >= 0 and every[-1] < length))
    assert {which: len(part) for which, part in parts.items()} == {which: split.size(which) for which in SPLITS}
    assert max_tokens is None or len(parts["train"]) <= max_tokens
    assert sum(split.lengths("val")) == len(parts["val"])


def test_fractions_that_sum_to_one_leave_nothing_out():
    assert make_split(1000, [0.8, 0.1, 0.1]).pieces == {"train": [(0, 800)], "val": [(800, 900)], "test": [(900, 1000)]}
    assert 0.7 + 0.2 + 0.1 < 1  # as floats add
    assert make_split(1000, [0.7, 0.2, 0.1]).pieces["test"][-1][1] == 1000


def test_max_tokens_cuts_the_training_part_only():
    cut = make_split(1000, [0.8, 0.1, 0.1], 100)
    assert cut.pieces == {"train": [(0, 100)], "val": [(800, 900)], "test": [(900, 1000)]}
    assert cut.name == "0.8/0.1/0.1, max_tokens 100"


def test_a_split_may_do_without_a_test_part():
    split = make_split(100, [[0, 90], [90, 100], [100, 100]])
    assert split.pieces["test"] == [(100, 100)] and split.lengths("test") == []


def test_nanogpt_is_the_first_nine_tenths_and_the_last():
    split = make_split(SHAKESPEARE, "nanogpt")
    assert split.pieces == {"train": [(0, 1_003_854)], "val": [(1_003_854, SHAKESPEARE)], "test": []}


def test_torchrnn_is_eight_tenths_one_and_one():
    split = make_split(SHAKESPEARE, "torchrnn")
    assert [split.size(which) for which in SPLITS] == [892_316, 111_539, 111_539]
    assert split.pieces["val"][0][0] == 892_316


def test_charrnn_is_the_end_of_each_of_fifty_rows():
    split = make_split(SHAKESPEARE, "charrnn")
    assert len(split.pieces["train"]) == len(split.pieces["val"]) == 50 and split.pieces["test"] == []
    assert set(split.lengths("train")) == {423 * 50} and set(split.lengths("val")) == {23 * 50}
    for (start, cut), (begin, end), row in zip(split.pieces["train"], split.pieces["val"], range(50), strict=True):
        assert start == row * 446 * 50 and cut == begin and end == start + 446 * 50
    with pytest.raises(BadInput, match="charrnn needs 5,000 characters"):
        make_split(4999, "charrnn")


def test_files_of_their_own_are_whole_parts():
    split = split_at_files(100, 20, 0)
    assert split.pieces == {"train": [(0, 100)], "val": [(100, 120)], "test": [(120, 120)]} and split.name == "files"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ([[0, 60], [50, 80], [80, 90]], "overlap at characters 50-60"),
        ([[0, 90], [95, 99], [10, 20]], "overlap at characters 10-20"),
        ([[0, 90], [90, 99], [99, 101]], "does not lie in the text of 100"),
        ([[0, 90], [90, 91], [91, 100]], "val part has 1 characters"),
        ([0.9, 0.05], "give fractions like"),
        ([0.9, 0.2, 0.05], "sum to at most 1"),
        ([0.9, -0.1, 0.05], "lie in 0..1"),
        ("thirds", "give fractions like.*nanogpt, torchrnn, charrnn"),
        ([0.99, 0.005, 0.005], "val part has 0 characters|val part has 1 characters"),
    ],
)
def test_a_split_that_cannot_be_is_refused(spec, complaint):
    with pytest.raises(BadInput, match=complaint):
        make_split(100, spec)


def test_a_text_that_is_all_training_part_is_refused_for_want_of_a_validation_part():
    with pytest.raises(BadInput, match="the val part has 0 characters of 100"):
        make_split(100, [1, 0, 0])
