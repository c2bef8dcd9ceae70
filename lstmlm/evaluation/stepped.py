"""A model as `generate --weights` computes it, for scoring: the steps in C on small weights.

B = batch_size, T = num_steps, V = vocab_size, L = num_layers, H = num_hiddens, N = B.
"""

import numpy as np
import torch
from torch import Tensor, nn

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.generation.native_stepper import make_native_stepper
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.arrays import Floats

AT_ONCE = 2000  # steps of all lanes in one call: bounds the memory


class SteppedModel(nn.Module):
    """The weights of a checkpoint in another format, one of WEIGHTS, with the interface of RNNModel for scoring.

    BadInput if the steps in C cannot compute with such weights.
    """

    backend = None  # the steps are the same for every backend

    def __init__(self, loaded: Checkpoint, kind: str) -> None:
        super().__init__()
        config = ModelConfig.from_record(loaded.record["model"])
        weights: dict[str, Floats] = {name: tensor.cpu().numpy() for name, tensor in loaded.weights.items()}
        stepper = make_native_stepper(config.cell, weights, config.num_layers, kind)
        assert stepper is not None, "small weights are BadInput where there is no stepper"
        self.stepper, self.W_hq = stepper, loaded.weights["W_hq"]

    def forward(self, ids: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Ids (B, T) and a state -> logits (T*B, V), time-major, and the next state; H and C are (L, B, H)."""
        columns, N = ids.T.numpy(), len(ids)
        carried = np.zeros((self.stepper.num_layers, 2, N, self.stepper.num_hiddens), np.float32)
        if state is not None:
            carried = np.stack([part.numpy() for part in state], 1)
        steps, logits = max(1, AT_ONCE // N), []
        for start in range(0, len(columns), steps):
            some, states = self.stepper.read(carried, columns[start : start + steps])
            logits.append(torch.from_numpy(some).flatten(0, 1))
            carried = states[-1]
        return torch.cat(logits), tuple(torch.from_numpy(carried[:, k].copy()) for k in range(2))
