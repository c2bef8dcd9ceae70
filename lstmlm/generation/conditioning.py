"""The steps of a model for documents of one label. No torch."""

from collections.abc import Mapping

import numpy as np

from lstmlm.generation.guidance import GuidedStepper
from lstmlm.generation.stepper import Stepper
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.arrays import Floats
from lstmlm.text.labels import FIRST_LABEL
from lstmlm.text.vocab import Vocab


def condition_weights(weights: Mapping[str, Floats], label: int) -> dict[str, Floats]:
    """The weights, under the book's names, with the row of the label, an id, in the biases of the first layer.

    The label is with every character of a document (model/labels.py): X W_x + W_x[label] + b.
    """
    conditioned, prefix = dict(weights), "layers.0.W_x"
    for name in weights:
        if name.startswith(prefix):
            rows = weights["W_e"] @ weights[name] if "W_e" in weights else weights[name]
            bias = f"layers.0.b_{name.removeprefix(prefix)}"
            conditioned[bias] = np.add(weights[bias], rows[label])
    return conditioned


def condition_on(config: ModelConfig, weights: Mapping[str, Floats], vocab: Vocab, begin: str) -> Mapping[str, Floats]:
    """The weights for documents that begin with the symbol `begin` (text/labels.py: choose_begin)."""
    return condition_weights(weights, int(vocab.encode(begin)[0])) if config.num_labels else weights


def make_stepper(
    config: ModelConfig,
    weights: Mapping[str, Floats],
    vocab: Vocab,
    begin: str,
    kind: str = "float32",
    guidance: float = 0.0,
) -> Stepper:
    """The steps of a model on documents that begin with the symbol `begin`.

    `kind` is one of WEIGHTS, and `guidance` the weight of guidance.py, for a model with labels.
    """

    def make(weights: Mapping[str, Floats]) -> Stepper:
        return Stepper(config.cell, weights, config.num_layers, kind)

    if guidance == 0:
        return make(condition_on(config, weights, vocab, begin))
    labels = np.arange(FIRST_LABEL, FIRST_LABEL + config.num_labels)
    steppers = [make(condition_weights(weights, label)) for label in labels.tolist()]
    return GuidedStepper(steppers, labels, int(vocab.encode(begin)[0]) - FIRST_LABEL, guidance)
