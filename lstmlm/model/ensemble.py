"""Several models as one: the mean of their probabilities.

B = batch_size, T = num_steps, V = vocab_size, K = number of models.

    P(x | before) = (P_1(x | before) + ... + P_K(x | before)) / K

By Jensen's inequality the loss of the mean probability is at most the mean of the models' losses. It is neither the
mean of their logits nor of their losses.
"""

import math

import torch
from torch import Tensor, nn

from lstmlm.model.rnn_model import RNNModel, State


class Ensemble(nn.Module):
    """K models with one vocabulary, on any backends and of any sizes, with the interface of one model for scoring.

    The state is the tuple of the models' states, in their order.
    """

    def __init__(self, models: list[RNNModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    @property
    def W_hq(self) -> Tensor:
        """The output layer of the first model, whose device is that of the ensemble."""
        first = self.models[0]
        assert isinstance(first, RNNModel)
        return first.W_hq

    @property
    def num_labels(self) -> int:
        """Of each of the models: it follows from their vocabulary."""
        return max(model.config.num_labels for model in self.models if isinstance(model, RNNModel))

    def forward(self, ids: Tensor, state: tuple[State, ...] | None = None) -> tuple[Tensor, tuple[State, ...]]:
        """Ids (B, T) and a state -> the logarithms of the mean probabilities (T*B, V), float64, and the next state."""
        states = [None] * len(self.models) if state is None else state
        outcomes = [model(ids, own) for model, own in zip(self.models, states, strict=True)]
        log_probs = torch.stack([torch.log_softmax(logits.double(), -1) for logits, _ in outcomes])
        return log_probs.logsumexp(0) - math.log(len(self.models)), tuple(own for _, own in outcomes)
