"""Probabilities of n-grams sum to one, are those of the formula, and give the figures known for Tiny Shakespeare."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.evaluation import ngram
from lstmlm.evaluation.ngram import NGrams

LONGEST = 4


def pieces_of(text):
    return [np.array(piece, dtype=np.int64) for piece in text]


texts = st.lists(st.lists(st.integers(0, 3), max_size=20), min_size=1, max_size=4).filter(any)


def by_the_formula(train, piece, at, n, vocab_size):
    """p(piece[at] | the n-1 characters before it), by counting everything anew."""
    if n == 0:
        return 1 / vocab_size
    shorter = by_the_formula(train, piece, at, n - 1, vocab_size)
    if at < n - 1:
        return shorter
    context, D = tuple(piece[at - n + 1 : at]), 0.5 if n == 1 else 0.8
    after = Counter(text[k + n - 1] for text in train for k in range(len(text) - n + 1) if same(text, k, context))
    total = sum(after.values())
    if total == 0:
        return shorter
    return max(after[piece[at]] - D, 0) / total + D * len(after) / total * shorter


def same(text, start, context) -> bool:
    return tuple(text[start : start + len(context)]) == context


@given(texts, st.lists(st.integers(0, 3), min_size=1, max_size=8), st.sampled_from([4, 2**20]))
def test_the_probabilities_are_those_of_the_formula(train, piece, vocab_size):
    ours = list(NGrams(pieces_of(train), vocab_size, LONGEST).compute_probabilities(np.array(piece)))
    for n in range(1, LONGEST + 1):
        expected = [by_the_formula(train, piece, at, n, vocab_size) for at in range(len(piece))]
        assert ours[n - 1].tolist() == pytest.approx(expected, rel=1e-12)


@given(texts, st.lists(st.integers(0, 4), max_size=6))
def test_the_probabilities_after_any_context_sum_to_one(train, context):
    ngrams = NGrams(pieces_of(train), 5, LONGEST)  # of five characters, one of which train lacks
    after = [[p[-1] for p in ngrams.compute_probabilities(np.array([*context, char]))] for char in range(5)]
    assert np.min(after) > 0
    assert np.sum(after, axis=0) == pytest.approx(np.ones(LONGEST), rel=1e-12)


def test_the_first_character_is_not_scored_and_chunks_do_not_matter(monkeypatch):
    draw = np.random.default_rng(0)
    ngrams, piece = NGrams([draw.integers(0, 3, 500)], 3, LONGEST), draw.integers(0, 3, 100)
    whole = [-np.log(p[1:]).sum() for p in ngrams.compute_probabilities(piece)]
    for chunk in (1, 7, 99, 1000):
        monkeypatch.setattr(ngram, "CHUNK", chunk)
        assert ngrams.compute_nats(piece) == pytest.approx(whole, rel=1e-12)
    assert ngrams.compute_nats(piece[:1]).tolist() == [0] * LONGEST


def test_no_n_gram_beats_uniform_on_noise():
    draw = np.random.default_rng(0)
    nats = NGrams([draw.integers(0, 16, 100_000)], 16, LONGEST).compute_nats(draw.integers(0, 16, 10_001)) / 10_000
    assert nats.min() > math.log(16) - 0.005 and nats[0] == pytest.approx(math.log(16), abs=0.005)
