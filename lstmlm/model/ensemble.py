"""An ensemble: several models that predict the mean of their probabilities.

B = batch_size, T = num_steps, V = vocab_size, K = number of models.

    P(x | before) = (P_1(x | before) + ... + P_K(x | before)) / K

The cost of a text under the mean of probabilities is at most the mean of its costs under the models (Jensen's
inequality). It is neither the mean of their losses nor the cost under the mean of their logits.
"""

import math

import torch
from torch import Tensor, nn

from lstmlm.model.rnn_model import RNNModel, State


class Ensemble(nn.Module):
    """K models of one vocabulary, on any backends and of any sizes; evaluation/ scores it like an RNNModel.

    The state is the tuple of the models' states.
    """

    def __init__(self, models: list[RNNModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    @property
    def W_hq(self) -> Tensor:
        """The head of the first model; callers use its device."""
        return self.models[0].W_hq

    def forward(self, ids: Tensor, state: tuple[State, ...] | None = None) -> tuple[Tensor, tuple[State, ...]]:
        """Ids (B, T) and a state -> the logs of the mean probabilities (T*B, V), float64, and the next state."""
        states = [None] * len(self.models) if state is None else state
        outcomes = [model(ids, own) for model, own in zip(self.models, states, strict=True)]
        log_probs = torch.stack([torch.log_softmax(logits.double(), -1) for logits, _ in outcomes])
        return log_probs.logsumexp(0) - math.log(len(self.models)), tuple(own for _, own in outcomes)
