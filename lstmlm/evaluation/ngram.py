"""n-gram models with absolute discounting: each character is predicted from the few characters before it.

An n-gram is n characters: its last character is predicted from its context, the n-1 characters before. Its order is the
length of the context; baselines.py names the models by order.

N = characters of training text, V = vocab_size, G = distinct n-grams, C = distinct contexts, n = characters of a piece.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lstmlm.system.arrays import Floats, Ids, Integers

UNSEEN = -1  # the number of a context that the training text, or the piece so far, lacks
CHUNK = 1_000_000  # characters scored at once: bounds the memory and does not change the result


@dataclass(frozen=True)
class Counts:
    """The n-grams of one n. Each has a number, its index here, and a key: number of its context * V + character."""

    keys: Ids  # (G+1,) rising; the last is above every key
    times: Ids  # (G+1,) occurrences of each n-gram
    totals: Floats  # (C+1,) occurrences of each context with a character after it; the last is of UNSEEN, so 0
    followers: Ids  # (C+1,) distinct characters after each context


class NGrams:
    """The n-grams of n = 1, ..., longest in `pieces` of text, each (n,) ids below `vocab_size`, counted.

    Interpolated absolute discounting (Ney, Essen and Kneser 1994): for a character c, a context h, and h' the same
    without its first character,

        p(c | h) = max(times(hc) - D, 0) / total(h) + D * followers(h) / total(h) * p(c | h')

    with D = 0.5 if h is empty and 0.8 if not. Below the empty context lies the uniform distribution over V. After an
    unseen context p(c | h) = p(c | h'). So every distribution sums to one and has no zero.
    """

    def __init__(self, pieces: Sequence[Integers], vocab_size: int, longest: int) -> None:
        self.vocab_size = vocab_size
        self.counts = list(itertools.islice(count_ngrams(pieces, vocab_size), longest))

    def compute_probabilities(self, ids: Integers) -> Iterator[Floats]:
        """Yield, for n = 1, ..., longest, the probability of each character of a piece after those before it, (n,)."""
        p, h = np.full(len(ids), 1 / self.vocab_size), np.zeros(len(ids), dtype=np.int64)
        for n, seen in enumerate(self.counts, start=1):
            D = 0.5 if n == 1 else 0.8
            keys = h * self.vocab_size + ids
            place = np.searchsorted(seen.keys, keys)
            found = seen.keys[place] == keys
            total = seen.totals[h]
            shares = np.where(found, seen.times[place] - D, 0) + D * seen.followers[h] * p
            p = np.where(total > 0, shares / total.clip(min=1), p)
            yield p
            h = find_contexts(np.where(found, place, UNSEEN), [0])

    def compute_nats(self, ids: Integers) -> Floats:
        """The cost of a piece (n,) in nats for n = 1, ..., longest: (longest,). Its first character is not scored."""
        nats = np.zeros(len(self.counts))
        for start in range(1, len(ids), CHUNK):
            before = min(start, len(self.counts) - 1)  # the context of the chunk's first character
            chunk = ids[start - before : start + CHUNK]
            nats += [-np.log(p[before:]).sum() for p in self.compute_probabilities(chunk)]
        return nats


def count_ngrams(pieces: Sequence[Integers], vocab_size: int) -> Iterator[Counts]:
    """Yield the counts for n = 1, 2, ..., without end."""
    ids, starts = join_pieces(pieces)
    h, num_contexts = np.zeros(len(ids), dtype=np.int64), 1
    while True:
        here = number_ngrams(h, ids, vocab_size)
        contexts = here.keys // vocab_size
        totals = np.bincount(contexts, weights=here.times, minlength=num_contexts + 1).astype(np.float64, copy=False)
        followers = np.bincount(contexts, minlength=num_contexts + 1)
        yield Counts(append_limit(here.keys), np.append(here.times, 0), totals, followers)
        h, num_contexts = find_contexts(here.numbers, starts), len(here.keys)


def join_pieces(pieces: Sequence[Integers]) -> tuple[Ids, Ids]:
    """The ids of all pieces (n,) that have any, (N,), and the positions where pieces start."""
    pieces = [piece for piece in pieces if len(piece)]
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    return np.concatenate(pieces).astype(np.int64), starts


@dataclass(frozen=True)
class Numbering:
    """The n-grams of one n in a text of N characters. Each has a number, its index in `keys`."""

    keys: Ids  # (G,) rising: number of the context * V + character
    times: Ids  # (G,) occurrences of each
    first: Ids  # (G,) the position where each ends first
    numbers: Ids  # (N,) the number of the n-gram that ends at each position; UNSEEN where no context is


def number_ngrams(h: Ids, ids: Ids, vocab_size: int) -> Numbering:
    """Number the n-grams of the characters `ids` after the contexts with the numbers `h`, both (N,).

    A context is an (n-1)-gram and so has a number: no key exceeds N * V, however large n is.
    """
    positions = np.flatnonzero(h != UNSEEN)
    keys, order = sort_stably(h[positions] * vocab_size + ids[positions], len(ids) * vocab_size)
    positions = positions[order]
    is_first = np.diff(keys, prepend=UNSEEN) != 0
    starts = np.flatnonzero(is_first)
    numbers = np.full(len(ids), UNSEEN, dtype=np.int64)
    numbers[positions] = np.cumsum(is_first) - 1
    return Numbering(keys[starts], np.diff(starts, append=len(keys)), positions[starts], numbers)


def sort_stably(keys: Ids, bound: int) -> tuple[Ids, Ids]:
    """The keys (n,), all in [0, bound), sorted, and the index of each in `keys`; equal keys keep their order.

    Key and index are sorted as one integer where 63 bits hold both: three times as fast as an argsort.
    """
    bits = len(keys).bit_length()
    if bound.bit_length() + bits <= 63:
        both = np.sort(keys << bits | np.arange(len(keys)))
        return both >> bits, both & ((1 << bits) - 1)
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def append_limit(keys: Ids) -> Ids:
    """The keys (G,) and one above every key, so that a search always ends inside."""
    return np.append(keys, np.iinfo(np.int64).max)


def find_contexts(numbers: Ids, starts: Ids | Sequence[int]) -> Ids:
    """The numbers of the n-grams that end before each character, given those that end at each; UNSEEN at starts."""
    contexts = np.roll(numbers, 1)
    contexts[starts] = UNSEEN
    return contexts
