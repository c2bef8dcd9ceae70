"""Kneser-Ney n-grams whose counts go on growing with the text that they score, character by character.

N = characters of training text, M = characters of held-out text, V = vocab_size, G = distinct n-grams of both together.

Each held-out character is scored with the counts and the discounts of all text before it, as if the n-grams of
`kneser_ney.KneserNey` were counted anew after every character. Nothing is counted anew: the held-out text is known, so
the counts at each of its positions are those of the training text and a running sum over the positions before. A count
grows where an event happens. At the highest order each occurrence of an n-gram is one; below it, the first occurrence
of an n-gram after a character, and each at the start of a piece.
"""

from collections.abc import Sequence

import numpy as np

from lstmlm.evaluation.ngram import UNSEEN, Numbering, find_contexts, join_pieces, number_ngrams, sort_stably
from lstmlm.system.arrays import Booleans, Floats, Ids, Integers


def compute_growing_nats(
    train: Sequence[Integers], held_out: Sequence[Integers], vocab_size: int, longest: int
) -> Floats:
    """The cost in nats of every character of the held-out pieces (n,) but their first, one piece after another.

    `longest` is n of the n-grams, 1 or more. The training part has one character at least.
    """
    ids, starts = join_pieces([*train, *held_out])
    num_train = sum(map(len, train))
    p = np.full(len(ids) - num_train, 1 / vocab_size)
    here = number_ngrams(np.zeros(len(ids), dtype=np.int64), ids, vocab_size)
    for n in range(1, longest + 1):
        if n == longest:
            p = interpolate(here, here.numbers != UNSEEN, p, num_train, vocab_size)
        else:
            longer = number_ngrams(find_contexts(here.numbers, starts), ids, vocab_size)
            p = interpolate(here, find_new_predecessors(here, longer), p, num_train, vocab_size)
            here = longer
    is_first = np.zeros(len(ids), dtype=bool)
    is_first[starts] = True
    nats: Floats = -np.log(p[~is_first[num_train:]])
    return nats


def find_new_predecessors(here: Numbering, longer: Numbering) -> Booleans:
    """The positions, (N+M,), where an n-gram ends after a predecessor that it did not have before."""
    is_event = np.zeros(len(here.numbers), dtype=bool)
    is_event[longer.first] = True
    is_event |= (here.numbers != UNSEEN) & (longer.numbers == UNSEEN)  # each start of a piece
    return is_event


def interpolate(here: Numbering, is_event: Booleans, lower: Floats, num_train: int, vocab_size: int) -> Floats:
    """p(c | h) of one order at every held-out position, (M,), given those of the lower order.

    `is_event` (N+M,) tells where a count grows. A position without a context of this length takes the lower order's.
    """
    contexts = here.keys // vocab_size
    before = here.numbers[:num_train]
    counts = np.bincount(before[is_event[:num_train]], minlength=len(here.keys))  # (G,) of the training text
    there = np.flatnonzero(here.numbers[num_train:] != UNSEEN)
    numbers, grows = here.numbers[num_train:][there], is_event[num_train:][there].astype(np.int64)
    h = contexts[numbers]
    num_contexts = int(contexts.max(initial=0)) + 1

    count = counts[numbers] + sum_before(grows, numbers)
    discounts = estimate_growing_discounts(counts, count, grows)
    total = np.bincount(contexts, weights=counts, minlength=num_contexts)[h] + sum_before(grows, h)
    held_back = np.zeros(len(there))
    for kind in (1, 2, 3):  # n-grams after h with a count of 1, of 2, of 3 and more
        base = np.bincount(contexts[np.minimum(counts, 3) == kind], minlength=num_contexts)
        change = grows * ((count == kind - 1).astype(np.int64) - ((count == kind) & (kind < 3)))
        held_back += discounts[:, kind] * (base[h] + sum_before(change, h))
    own = count - discounts[np.arange(len(count)), np.minimum(count, 3)]
    p = lower.copy()
    p[there] = np.where(total > 0, (own + held_back * lower[there]) / np.maximum(total, 1), lower[there])
    return p


def sum_before(values: Ids, groups: Ids) -> Ids:
    """For each position the sum of the values of its group at the positions before it: (n,)."""
    if len(values) == 0:
        return values
    groups, order = sort_stably(groups, int(groups.max()) + 1)
    sums = np.cumsum(values[order]) - values[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1) != 0)
    sums -= np.repeat(sums[starts], np.diff(starts, append=len(groups)))
    result = np.empty_like(sums)
    result[order] = sums
    return result


def estimate_growing_discounts(counts: Ids, count: Ids, grows: Ids) -> Floats:
    """`kneser_ney.estimate_discounts` at every held-out position: (positions, 4).

    `counts` (G,) are those of the training text; `count` is that of the n-gram at each position before it, and `grows`
    is 1 where it grows there.
    """
    n = [np.zeros(len(count))]
    for k in (1, 2, 3, 4):  # n-grams with a count of k, before each position
        change = grows * ((count == k - 1).astype(np.int64) - (count == k))
        n.append((counts == k).sum() + np.cumsum(change) - change)
    known = (n[1] > 0) & (n[2] > 0)
    n1, n2, n3 = (np.maximum(n[k], 1) for k in (1, 2, 3))
    Y = n[1] / np.maximum(n[1] + 2 * n[2], 1)
    formulas = [1 - 2 * Y * n[2] / n1, 2 - 3 * Y * n[3] / n2, np.where(n[3] > 0, 3 - 4 * Y * n[4] / n3, 0.5)]
    discounts = [np.where(known, np.clip(formulas[k - 1], 0, k), 0.5) for k in (1, 2, 3)]
    return np.stack([np.zeros(len(count)), *discounts], axis=1)
