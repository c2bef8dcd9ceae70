"""What text costs if only the few characters before each are looked at: n-grams with absolute discounting.

An n-gram is n characters long: one is predicted from its context, the n-1 before it. Its order is the length of the
context, and by that baselines.py names it.

N characters of training text, V vocab_size, G different n-grams, C different contexts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

UNSEEN = -1  # the number of a context that the training text, or the piece so far, does not have
CHUNK = 1_000_000  # characters scored at once: bounds the memory and does not change the result


@dataclass(frozen=True)
class Counts:
    """The n-grams of one n. Each has a number, its place here, and a key: number of its context * V + character."""

    keys: np.ndarray  # (G+1,) rising; the last is above any key
    times: np.ndarray  # (G+1,) how often each was seen
    totals: np.ndarray  # (C+1,) how often a character came after each context; the last is of UNSEEN, so 0
    followers: np.ndarray  # (C+1,) how many different ones


class NGrams:
    """The n-grams of n = 1, ..., longest in `pieces` of text, each (n,) ids below `vocab_size`, counted.

    Interpolated absolute discounting (Ney, Essen and Kneser 1994): for a character c, a context h, and h' the same
    without its first character,

        p(c | h) = max(times(hc) - D, 0) / total(h) + D * followers(h) / total(h) * p(c | h')

    with D = 0.5 if h is empty and 0.8 if not. Below the empty context stands the uniform distribution over V. After a
    context that was never seen p(c | h) = p(c | h'). So every distribution sums to one and has no zero.
    """

    def __init__(self, pieces: Sequence[np.ndarray], vocab_size: int, longest: int) -> None:
        self.vocab_size = vocab_size
        self.counts = list(itertools.islice(count_ngrams(pieces, vocab_size), longest))

    def probabilities(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """Yield, for each n, the probability of every character of a piece after those before it, float64 (n,)."""
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

    def nats(self, ids: np.ndarray) -> np.ndarray:
        """What a piece costs for each n, (longest,); its first character is not scored."""
        nats = np.zeros(len(self.counts))
        for start in range(1, len(ids), CHUNK):
            before = min(start, len(self.counts) - 1)  # the context of the first in the chunk
            chunk = ids[start - before : start + CHUNK]
            nats += [-np.log(p[before:]).sum() for p in self.probabilities(chunk)]
        return nats


def count_ngrams(pieces: Sequence[np.ndarray], vocab_size: int) -> Iterator[Counts]:
    """Yield the counts for n = 1, 2, ..., without end.

    The context of an n-gram is an (n-1)-gram and so has a number: no key is above N * V, however large n and V are.
    """
    pieces = [piece for piece in pieces if len(piece)]
    ids = np.concatenate(pieces).astype(np.int64)
    starts = np.cumsum([0] + [len(piece) for piece in pieces[:-1]])
    h, num_contexts = np.zeros(len(ids), dtype=np.int64), 1
    while True:
        there = h != UNSEEN
        found = h[there] * vocab_size + ids[there]
        keys, times = np.unique(found, return_counts=True)
        contexts = keys // vocab_size
        totals = np.bincount(contexts, weights=times, minlength=num_contexts + 1)
        followers = np.bincount(contexts, minlength=num_contexts + 1)
        yield Counts(np.append(keys, np.iinfo(np.int64).max), np.append(times, 0), totals, followers)
        h[there] = np.searchsorted(keys, found)
        h, num_contexts = find_contexts(h, starts), len(keys)


def find_contexts(numbers: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """From the n-grams that end at each character, the contexts that come before each; a piece starts without."""
    contexts = np.roll(numbers, 1)
    contexts[starts] = UNSEEN
    return contexts
