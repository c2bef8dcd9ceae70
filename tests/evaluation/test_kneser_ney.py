"""Kneser-Ney n-grams are what the definition says, for every order, and every distribution sums to one."""

import math
from collections import defaultdict

import numpy as np
import pytest

from lstmlm.evaluation.kneser_ney import KneserNey, estimate_discounts

TEXTS = ["abracadabra abracadabra", "the tide, the time, the tíde", "aab", "aaa", "abra"]
HELD_OUT = "abra the tide, aaa cad"


def occurrences(pieces: list[str], n: int) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for piece in pieces:
        for end in range(n, len(piece) + 1):
            counts[piece[end - n : end]] += 1
    return counts


def continuations(pieces: list[str], n: int) -> dict[str, int]:
    before = defaultdict(set)
    for k, piece in enumerate(pieces):
        for end in range(n, len(piece) + 1):
            before[piece[end - n : end]].add(piece[end - n - 1] if end > n else f"the start of {k}")
    return {ngram: len(seen) for ngram, seen in before.items()}


def discount(counts: dict[str, int], count: int) -> float:
    """Chen and Goodman's, written out; half of 1 where they cannot be estimated."""
    n = {k: sum(value == k for value in counts.values()) for k in (1, 2, 3, 4)}
    if not (n[1] and n[2]):
        return 0.5
    Y = n[1] / (n[1] + 2 * n[2])
    formulas = {1: 1 - 2 * Y * n[2] / n[1], 2: 2 - 3 * Y * n[3] / n[2]}
    formulas[3] = 3 - 4 * Y * n[4] / n[3] if n[3] else 0.5
    kind = min(count, 3)
    return min(max(formulas[kind], 0), kind)


def probability(pieces: list[str], context: str, char: str, vocab_size: int, is_top: bool = True) -> float:
    """p(char | context), recursively from the definition."""
    n = len(context) + 1
    counts = (occurrences if is_top else continuations)(pieces, n)
    lower = probability(pieces, context[1:], char, vocab_size, False) if context else 1 / vocab_size
    after = {ngram[-1]: count for ngram, count in counts.items() if ngram[:-1] == context}
    if not after:
        return lower
    total, held_back = sum(after.values()), sum(discount(counts, count) for count in after.values())
    own = after[char] - discount(counts, after[char]) if char in after else 0.0
    return (own + held_back * lower) / total


@pytest.fixture
def alphabet():
    return sorted(set("".join([*TEXTS, HELD_OUT])))


def numbered(text: str, alphabet: list[str]) -> np.ndarray:
    return np.array([alphabet.index(char) for char in text])


def test_every_order_is_the_definition(alphabet):
    kneser_ney = KneserNey([numbered(text, alphabet) for text in TEXTS], len(alphabet), 5)
    for n, ours in enumerate(kneser_ney.compute_probabilities(numbered(HELD_OUT, alphabet)), start=1):
        contexts = [HELD_OUT[max(0, k - n + 1) : k] for k in range(len(HELD_OUT))]
        full = [k for k, context in enumerate(contexts) if len(context) == n - 1]
        theirs = [probability(TEXTS, contexts[k], HELD_OUT[k], len(alphabet)) for k in full]
        assert ours[full] == pytest.approx(theirs, rel=1e-12)


def test_every_distribution_sums_to_one_and_has_no_zero(alphabet):
    kneser_ney = KneserNey([numbered(text, alphabet) for text in TEXTS], len(alphabet), 5)
    for context in ("", "a", "ab", "abra", "tid", "e, ", ",,"):
        candidates = [numbered(context + char, alphabet) for char in alphabet]
        last = np.array([[p[-1] for p in kneser_ney.compute_probabilities(ids)] for ids in candidates])
        assert last.sum(0) == pytest.approx(np.ones(5), abs=1e-12)
        assert (last > 0).all()


def test_losses_do_not_depend_on_the_chunks(alphabet, monkeypatch):
    kneser_ney, ids = KneserNey([numbered(TEXTS[0], alphabet)], len(alphabet), 4), numbered(HELD_OUT, alphabet)
    whole = kneser_ney.compute_nats(ids)
    monkeypatch.setattr("lstmlm.evaluation.kneser_ney.CHUNK", 3)
    assert kneser_ney.compute_nats(ids) == pytest.approx(whole, rel=1e-12)
    assert [kneser_ney.compute_char_nats(ids, n).sum() for n in (1, 2, 3, 4)] == pytest.approx(list(whole), rel=1e-12)


def test_discounts_lie_between_zero_and_the_count():
    for seed in range(20):
        counts = np.random.default_rng(seed).geometric(0.5, size=1 + seed)
        discounts = estimate_discounts(counts)
        assert (discounts >= 0).all() and (discounts <= [0, 1, 2, 3]).all()
        assert all(map(math.isfinite, discounts))
