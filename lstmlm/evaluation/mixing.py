"""The mixture of a model with a Kneser-Ney n-gram of the model's training text: p = w p_model + (1 - w) p_ngram.

The weight w is the mean, over the characters so far, of the share that the model had in their probability (online
expectation maximization), and so does not depend on the text that is still to be scored. It starts at PRIOR, which
counts as STRENGTH characters. A mixture needs the training text beside the model: its score does not belong into one
column with scores of the model alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmlm.evaluation.baselines import LIMIT, take_last
from lstmlm.evaluation.growing_counts import compute_growing_nats
from lstmlm.evaluation.kneser_ney import KneserNey
from lstmlm.evaluation.scoring import Score
from lstmlm.system.arrays import Floats, Integers

ORDER = 7  # of the n-gram: the characters that it looks at
PRIOR = 0.7  # w before the first character; on text that neither part saw, 0.70 to 0.76 was best
STRENGTH = 100  # characters


@dataclass(frozen=True)
class Mixture:
    score: Score
    weight: float  # w after the last character
    ngram: Score  # of the n-gram alone


def mix_with_ngram(
    model_nats: Floats, train: Sequence[Integers], held_out: Sequence[Integers], vocab_size: int, growing: bool
) -> Mixture:
    """Mix a model with an n-gram of the training pieces on held-out pieces, all (n,) ids of one vocabulary.

    `model_nats` is the cost under the model of every held-out character but the first of each piece. With `growing` the
    counts of the n-gram go on with every character that was scored.
    """
    train = take_last(train, LIMIT)
    if growing:
        ngram_nats = compute_growing_nats(train, held_out, vocab_size, ORDER + 1)
    else:
        ngram = KneserNey(train, vocab_size, ORDER + 1)
        ngram_nats = np.concatenate([ngram.compute_char_nats(piece, ORDER + 1) for piece in held_out])
    return mix(model_nats, ngram_nats)


def mix(model_nats: Floats, ngram_nats: Floats) -> Mixture:
    """Mix the probabilities of the same characters, given as nats (n,)."""
    shares, nats = PRIOR * STRENGTH, 0.0
    probabilities = zip(np.exp(-model_nats).tolist(), np.exp(-ngram_nats).tolist(), strict=True)
    for seen, (p_model, p_ngram) in enumerate(probabilities, start=STRENGTH):
        w = shares / seen
        p = w * p_model + (1 - w) * p_ngram
        nats -= math.log(p)
        shares += w * p_model / p
    count = len(ngram_nats)
    return Mixture(Score(nats, count), shares / (STRENGTH + count), Score(float(ngram_nats.sum()), count))
