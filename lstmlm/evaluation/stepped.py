"""A model as `generate --weights` computes it, for scoring: the steps in C on small weights.

B = batch_size, T = num_steps, V = vocab_size, L = num_layers, H = num_hiddens, N = B.
"""

import numpy as np
import torch
from torch import Tensor, nn

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.generation.conditioning import condition_weights
from lstmlm.generation.native_stepper import NativeStepper, make_native_stepper
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.arrays import Floats
from lstmlm.text.labels import FIRST_LABEL

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
        self.config, self.weights, self.kind = config, weights, kind
        self.num_labels = config.num_labels
        self.W_hq = loaded.weights["W_hq"]
        self.steppers: dict[int, NativeStepper] = {}
        self.find_stepper(0)  # BadInput now, and not with the first text

    def find_stepper(self, label: int) -> NativeStepper:
        """The steps for documents of a label, counted from 1; 0: without one."""
        if label not in self.steppers:
            weights = condition_weights(self.weights, label + FIRST_LABEL - 1) if label else self.weights
            stepper = make_native_stepper(self.config.cell, weights, self.config.num_layers, self.kind)
            assert stepper is not None, "small weights are BadInput where there is no stepper"
            self.steppers[label] = stepper
        return self.steppers[label]

    def forward(self, ids: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Ids (B, T) and a state -> logits (T*B, V), time-major, and the next state; H and C are (L, B, H).

        The ids may have labels (model/labels.py), each lane one.
        """
        (N, T), (H, V), L = ids.shape, self.W_hq.shape, self.config.num_layers
        carried, logits = np.zeros((L, 2, N, H), np.float32), np.empty((T, N, V), np.float32)
        if state is not None:
            carried = np.stack([part.numpy() for part in state], 1)
        columns, labels = (ids.T % V).numpy(), (ids[:, 0] // V).numpy()
        for label in np.unique(labels):
            stepper, lanes = self.find_stepper(int(label)), np.flatnonzero(labels == label)
            own, steps = carried[:, :, lanes], max(1, AT_ONCE // len(lanes))
            for start in range(0, T, steps):
                some, states = stepper.read(own, columns[start : start + steps, lanes])
                logits[start : start + steps, lanes], own = some, states[-1]
            carried[:, :, lanes] = own
        after = tuple(torch.from_numpy(carried[:, k].copy()) for k in range(2))
        return torch.from_numpy(logits).flatten(0, 1), after
