"""What a text costs a model: sums of nats first, one `exp` at the end."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.model import RNNModel


@dataclass(frozen=True)
class Score:
    """Total nats over `num_chars` scored characters."""

    nats: float
    num_chars: int

    def __add__(self, other: "Score") -> "Score":
        return Score(self.nats + other.nats, self.num_chars + other.num_chars)

    @property
    def nats_per_char(self) -> float:
        return self.nats / self.num_chars

    @property
    def bits_per_char(self) -> float:
        return self.nats_per_char / math.log(2)

    @property
    def perplexity(self) -> float:
        try:
            return math.exp(self.nats_per_char)
        except OverflowError:
            return math.inf


@torch.no_grad()
def evaluate(model: RNNModel, ids: Tensor, chunk: int = 1000) -> Score:
    """Score ids (n,) as one stream: batch 1, from the zero state, the state carried; the first is not scored.

    `chunk` bounds the memory and does not change the result.
    """
    was_training = model.training
    model.eval()
    state, nats = None, 0.0
    for start in range(0, len(ids) - 1, chunk):
        X = ids[start : start + chunk + 1]
        logits, state = model(X[None, :-1], state)
        losses = functional.cross_entropy(logits, X[1:], reduction="none")
        nats += losses.cpu().double().sum().item()
    model.train(was_training)
    return Score(nats, len(ids) - 1)
