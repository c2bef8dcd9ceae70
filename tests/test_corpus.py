"""Texts arrive whole or with one line of complaint; the parts of a split share no character."""

import hashlib

import pytest
from conftest import ROOT, shared_text
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.corpus import d2l, d2l_classic, read_corpus, split_text
from lstmlm.errors import BadInput
from lstmlm.vocab import Vocab

TIDE_CLOCK = "40143c06f38bd5afd9957441b70e875945144ee3b54e2e4aee7080a5960528e3"


def write(tmp_path, content: bytes):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    return str(path)


def test_the_embedded_text_is_the_one_on_the_card():
    corpus = read_corpus("tide_clock", None, "raw")
    assert corpus.sha256 == TIDE_CLOCK == hashlib.sha256((ROOT / "data" / "tide_clock.txt").read_bytes()).hexdigest()
    assert TIDE_CLOCK in (ROOT / "data" / "README.md").read_text()
    assert len(corpus.text) == 164_017 and len(set(corpus.text)) == 62
    parts = split_text(corpus.text, [0.9, 0.05, 0.05]).ranges
    assert parts == {"train": (0, 147_615), "val": (147_615, 155_816), "test": (155_816, 164_017)}


def test_the_books_clean_ups_give_the_books_counts():
    text = shared_text("time_machine.txt").read_text()
    classic, newer = d2l_classic(text), d2l(text)
    assert len(classic) == 170_580 and len(newer) == 173_428
    assert "the time machine by h g wells" in classic and "andtwinkled" not in newer
    vocab = Vocab(classic)
    assert len(vocab) == 28
    assert vocab.idx_to_token == ["<unk>", *" etainoshrdlmucfwgypbvkxzjq"]


def test_line_ends_and_case_are_kept_and_a_byte_order_mark_is_not(tmp_path):
    corpus = read_corpus("file", write(tmp_path, "\ufeffAb\r\ncd\u2028e".encode()), "raw")
    assert corpus.text == "Ab\r\ncd\u2028e"
    assert any("byte-order mark" in note for note in corpus.notes)


def test_control_characters_are_kept_and_counted(tmp_path):
    corpus = read_corpus("file", write(tmp_path, b"ab\0\0\x1bcd"), "raw")
    assert corpus.text == "ab\0\0\x1bcd"
    assert any("3 control characters" in note for note in corpus.notes)


def test_a_text_that_is_not_there_says_where_to_put_it():
    with pytest.raises(BadInput, match=r"tiny_shakespeare\.txt: put the file there, or give data\.path"):
        read_corpus("tiny_shakespeare", None, "raw")


fractions = st.lists(st.floats(0.05, 1), min_size=3, max_size=3).map(lambda f: [x / (sum(f) * 1.0001) for x in f])


@given(st.integers(300, 5000), fractions, st.none() | st.integers(2, 400))
def test_the_parts_share_no_character(length, spec, max_tokens):
    text = "".join(chr(0x4E00 + k) for k in range(length))  # every character is its own position
    split = split_text(text, spec, max_tokens)
    train, val, test = (set(split.part(text, which)) for which in ("train", "val", "test"))
    assert not train & val and not val & test and not train & test
    assert max_tokens is None or len(train) <= max_tokens
    assert split.hashes["val"] == hashlib.sha256(split.part(text, "val").encode()).hexdigest()


def test_fractions_that_sum_to_one_leave_nothing_out():
    split = split_text("ab" * 500, [0.8, 0.1, 0.1])
    assert split.ranges == {"train": (0, 800), "val": (800, 900), "test": (900, 1000)}


def test_max_tokens_cuts_the_training_part_only():
    split = split_text("ab" * 500, [0.8, 0.1, 0.1], 100)
    assert split.ranges == {"train": (0, 100), "val": (800, 900), "test": (900, 1000)}


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
        ("thirds", "give fractions like"),
        ([0.99, 0.005, 0.005], "val part has 0 characters|val part has 1 characters"),
    ],
)
def test_a_split_that_cannot_be_is_refused(spec, complaint):
    with pytest.raises(BadInput, match=complaint):
        split_text("ab" * 50, spec)


def test_a_split_may_do_without_a_test_part():
    assert split_text("ab" * 50, [[0, 90], [90, 100], [100, 100]]).ranges["test"] == (100, 100)
