"""Dynamic evaluation with a learning rate that the scored text chooses, from past characters alone.

R = rates, T = the length of a segment.

Copies of the model learn from the text side by side, each with its own rate. A character costs what it does under the
mixture of the copies, whose weights are their probabilities of the text before it (Bayes' rule, from equal weights): so
no character is scored by a choice that has seen it, and the mixture costs at most log R nats in all more than the best
copy. After `num_chars` characters the copy with the lowest cost goes on alone. The
choice costs the time of R - 1 times as many characters.

The training text cannot choose as well: the model knows it by heart to a degree, which favours low rates.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lstmlm.evaluation.dynamic import Statistics, score_adaptive
from lstmlm.model.rnn_model import RNNModel


@dataclass(frozen=True)
class Online:
    """A score with a rate chosen on the way."""

    nats: list[Tensor]  # the cost of every scored character, in order and in segments
    lr: float  # the rate of the copy that went on alone
    num_chars: int  # characters that all copies scored


def score_with_best_rate(
    model: RNNModel,
    pieces: Sequence[Tensor],
    statistics: Statistics,
    lrs: Sequence[float],
    decay: float,
    num_chars: int,
) -> Online:
    """Score every character of each piece (n,) but the first; the rates are compared on `num_chars` of them or more.

    The model keeps its weights.
    """
    learners = [score_adaptive(copy.deepcopy(model), pieces, statistics, lr, decay) for lr in lrs]
    sums = torch.zeros(len(lrs), 1, dtype=torch.float64)  # of the nats of each copy
    nats: list[Tensor] = []
    seen = 0
    for segments in zip(*learners, strict=True):
        costs = torch.stack(segments).nan_to_num(nan=math.inf)  # (R, T)
        sums = torch.cat([sums[:, -1:], costs], dim=1).cumsum(1)
        nats.append(-torch.logsumexp(-sums, dim=0).diff())
        seen += len(nats[-1])
        if seen >= num_chars:
            break
    best = int(sums[:, -1].argmin())
    nats += learners[best]
    return Online(nats, lrs[best], seen)
