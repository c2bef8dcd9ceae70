"""Kneser-Ney n-grams, interpolated: a lower order counts the contexts in which a character is new, not its occurrences.

N = characters of training text, V = vocab_size, G = distinct n-grams, K = distinct contexts, n = characters of a piece
or of an n-gram.

For a character c after the context h of n-1 characters, and h' the same without its first character,

    p_n(c | h) = max(a(hc) - D(a(hc)), 0) / A(h) + (sum of D over the characters seen after h) / A(h) * q_{n-1}(c | h')

where a counts occurrences, A(h) is the sum of a over the characters after h, and D is one discount for a count of 1,
another for 2, another for 3 and more, estimated from the counts of counts. q is the same formula with continuation
counts in place of a: the number of distinct characters before hc, each start of a piece being one more, so that the
beginnings of documents count as often as they occur. Below the empty context lies the uniform distribution over V.
After an unseen context p_n(c | h) = q_{n-1}(c | h').

Kneser and Ney 1995, "Improved backing-off for m-gram language modeling". The three discounts are those of Chen and
Goodman 1999, "An empirical study of smoothing techniques for language modeling".
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lstmlm.evaluation.ngram import UNSEEN, append_limit, find_contexts, join_pieces, number_ngrams
from lstmlm.system.arrays import Floats, Ids, Integers

CHUNK = 1_000_000  # characters scored at once: bounds the memory and does not change the result


@dataclass(frozen=True)
class Level:
    """One kind of count of the n-grams of one n, discounted: what the formula needs of it."""

    shares: Floats  # (G+1,) a(hc) - D(a(hc)) of each n-gram; the last is 0
    totals: Floats  # (K+1,) A(h) of each context; the last is of UNSEEN, so 0
    held_back: Floats  # (K+1,) the sum of the discounts after each context

    def interpolate(self, place: Ids, h: Ids, lower: Floats) -> Floats:
        """p(c | h) of n-grams with the numbers `place` and the contexts `h`, and `lower` of q(c | h'): all (n,)."""
        total = self.totals[h]
        mixed = (self.shares[place] + self.held_back[h] * lower) / np.maximum(total, 1)
        return np.where(total > 0, mixed, lower)


@dataclass(frozen=True)
class Order:
    """The n-grams of one n, by occurrences and by continuations. A key is number of the context * V + character."""

    keys: Ids  # (G+1,) rising; the last is above any key
    occurrences: Level
    continuations: Level


class KneserNey:
    """The n-grams of n = 1, ..., longest in `pieces` of text, each (n,) ids below `vocab_size`, counted."""

    def __init__(self, pieces: Sequence[Integers], vocab_size: int, longest: int) -> None:
        self.vocab_size = vocab_size
        self.orders = list(itertools.islice(count_orders(pieces, vocab_size), longest))

    def compute_probabilities(self, ids: Integers) -> Iterator[Floats]:
        """Yield, for each n, the probability of every character of a piece after those before it, (n,)."""
        lower, h = np.full(len(ids), 1 / self.vocab_size), np.zeros(len(ids), dtype=np.int64)
        for order in self.orders:
            keys = h * self.vocab_size + ids
            place = np.searchsorted(order.keys, keys)
            found = order.keys[place] == keys
            place = np.where(found, place, len(order.keys) - 1)
            yield order.occurrences.interpolate(place, h, lower)
            lower = order.continuations.interpolate(place, h, lower)
            h = find_contexts(np.where(found, place, UNSEEN), [0])

    def compute_char_nats(self, ids: Integers, n: int) -> Floats:
        """The loss of every character of a piece but the first, from contexts of n-1 characters, in nats."""
        losses = [np.zeros(0)]
        for start in range(1, len(ids), CHUNK):
            before = min(start, n - 1)  # the context of the first character of the chunk
            chunk = ids[start - before : start + CHUNK]
            losses.append(-np.log(next(itertools.islice(self.compute_probabilities(chunk), n - 1, None))[before:]))
        return np.concatenate(losses)

    def compute_nats(self, ids: Integers) -> Floats:
        """The loss of a piece for each n, (longest,), in nats; its first character is not scored."""
        nats = np.zeros(len(self.orders))
        for start in range(1, len(ids), CHUNK):
            before = min(start, len(self.orders) - 1)
            chunk = ids[start - before : start + CHUNK]
            nats += [-np.log(p[before:]).sum() for p in self.compute_probabilities(chunk)]
        return nats


def count_orders(pieces: Sequence[Integers], vocab_size: int) -> Iterator[Order]:
    """Yield the orders n = 1, 2, ..., without end.

    The continuations of the n-grams are counted from the (n+1)-grams: each of these is one more predecessor of the
    n-gram at its end. Each start of a piece is a predecessor too.
    """
    ids, starts = join_pieces(pieces)
    num_contexts = 1
    here = number_ngrams(np.zeros(len(ids), dtype=np.int64), ids, vocab_size)
    while True:
        longer = number_ngrams(find_contexts(here.numbers, starts), ids, vocab_size)
        at_starts = here.numbers[(here.numbers != UNSEEN) & (longer.numbers == UNSEEN)]
        suffixes = np.concatenate([here.numbers[longer.first], at_starts])
        continuations = np.bincount(suffixes, minlength=len(here.keys))
        contexts = here.keys // vocab_size
        yield Order(
            append_limit(here.keys),
            make_level(here.times, contexts, num_contexts),
            make_level(continuations, contexts, num_contexts),
        )
        num_contexts, here = len(here.keys), longer


def make_level(counts: Ids, contexts: Ids, num_contexts: int) -> Level:
    """The discounted level of n-grams with these counts and contexts, both (G,)."""
    held_back = estimate_discounts(counts)[np.minimum(counts, 3)]
    return Level(
        np.append(counts - held_back, 0.0),
        np.bincount(contexts, weights=counts, minlength=num_contexts + 1).astype(np.float64, copy=False),
        np.bincount(contexts, weights=held_back, minlength=num_contexts + 1).astype(np.float64, copy=False),
    )


def estimate_discounts(counts: Ids) -> Floats:
    """The discounts of the counts 0, 1, 2 and 3 or more, (4,), by Chen and Goodman's formulas.

    Each lies between 0 and its count. It is 0.5 where too few counts are small, as for single characters.
    """
    n1, n2, n3, n4 = (int((counts == k).sum()) for k in (1, 2, 3, 4))
    discounts = np.array([0.0, 0.5, 0.5, 0.5])
    if n1 and n2:
        Y = n1 / (n1 + 2 * n2)
        more = [1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3 if n3 else 0.5]
        discounts[1:] = np.maximum(more, 0.0)
    return discounts
