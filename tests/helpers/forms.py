"""Every cell on every backend, and models of them."""

import itertools

import pytest
import torch

from lstmlm.layers.registry import BACKENDS
from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel

# Every cell on every backend that has it: what is added to BACKENDS is tested
FORMS = [(cell, backend) for cell, backends in BACKENDS.items() for backend in backends]
PAIRS = [(cell, a, b) for cell, backends in BACKENDS.items() for a, b in itertools.permutations(backends, 2)]
every_form = pytest.mark.parametrize(("cell", "backend"), FORMS, ids=" ".join)


def make_model(backend: str, dtype=torch.float64, init: str = "default", seed: int = 0, **arguments) -> RNNModel:
    """A model whose weights, biases too, depend on the seed, not on the backend."""
    settings = {"vocab_size": 7, "num_hiddens": 5, "cell": "lstm"} | arguments
    model = RNNModel(ModelConfig(**settings), backend)
    generator = torch.Generator().manual_seed(seed)
    initialize(model, init, generator)
    if init == "default":  # biases that are not zero, so that one in the wrong place is found
        weights = model.book_weights()
        for name, tensor in weights.items():
            if tensor.dim() == 1:
                weights[name] = tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
        model.load_book_weights(weights)
    return model.to(dtype)
