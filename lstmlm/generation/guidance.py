"""Guidance: documents that are more typical of their label than the model's own (`generate --guidance`). No torch.

N = samples drawn together, V = vocab_size, K = number of labels, L = num_layers.

    log Q(x | before, k) = log P(x | before, k) + w (log P(x | before, k) - log P(x | before)),
    P(x | before) = (P(x | before, 1) + ... + P(x | before, K)) / K

and Q is normalized. w = 0 is the model's own distribution. All K predictions are of the same text, so a character takes
K times as long. Ho & Salimans 2022, "Classifier-Free Diffusion Guidance", with the mean over the labels in place of a
model without them; of language models, Sanchez et al. 2023, "Stay on topic with Classifier-Free Guidance".
"""

from collections.abc import Sequence

import numpy as np

from lstmlm.generation.native_stepper import State
from lstmlm.generation.stepper import Stepper
from lstmlm.system.arrays import Floats, Ids, Integers


class GuidedStepper(Stepper):
    """The steps of a model under each of its labels, with the logits of guidance.

    `steppers` have the weights of each label (conditioning.py), whose symbols are `labels`, (K,) ids; `chosen` is the
    place of the label that the documents have, and `weight` is w. The state has the layers of all K.
    """

    def __init__(self, steppers: Sequence[Stepper], labels: Ids, chosen: int, weight: float) -> None:
        self.steppers, self.labels, self.chosen, self.weight = steppers, labels, chosen, weight
        self.native = None  # which draws from the logits of one model

    def step(self, ids: Integers, state: State) -> tuple[Floats, State]:
        L = len(state) // len(self.steppers)
        parts = [stepper.step(ids, state[k * L : (k + 1) * L]) for k, stepper in enumerate(self.steppers)]
        return self.join(parts)

    def read(self, ids: Ids, state: State | None) -> tuple[Floats, State]:
        """As Stepper's. The first symbol of a document, read from the zero state, is replaced by that of each label."""
        if state is None:
            parts = [
                stepper.read(np.concatenate([[label], ids[1:]]), None)
                for stepper, label in zip(self.steppers, self.labels, strict=True)
            ]
        else:
            L = len(state) // len(self.steppers)
            parts = [stepper.read(ids, state[k * L : (k + 1) * L]) for k, stepper in enumerate(self.steppers)]
        return self.join(parts)

    def join(self, parts: Sequence[tuple[Floats, State]]) -> tuple[Floats, State]:
        """The logits (N, V) of guidance from those under each label, and their states as one."""
        every = normalize(np.stack([logits for logits, _ in parts]).astype(np.float64))  # (K, N, V)
        chosen = every[self.chosen]
        mean = np.log(np.exp(every).mean(0))
        guided: Floats = normalize(chosen + self.weight * (chosen - mean))
        return guided, [tuple(layer) for _, state in parts for layer in state]


def normalize(logits: Floats) -> Floats:
    """The logarithms of the probabilities of logits (..., V)."""
    shifted = logits - logits.max(-1, keepdims=True)
    log_probs: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return log_probs
