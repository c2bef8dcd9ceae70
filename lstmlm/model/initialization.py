"""The initial weights, drawn under the book's names: the same for every backend.

V = vocab_size, H = num_hiddens, E = embedding_dim.
"""

import torch
from torch import Tensor
from torch.nn.init import orthogonal_, xavier_uniform_

from lstmlm.model.rnn_model import RNNModel


def initialize(model: RNNModel, init: str, generator: torch.Generator) -> None:
    """Draw the weights of `model` by the rule named `init`, with a generator on the CPU."""
    shapes = {name: tensor.shape for name, tensor in model.book_weights().items()}
    one_hot = model.config.embedding_dim is None
    model.load_book_weights({name: INITS[init](name, shape, one_hot, generator) for name, shape in shapes.items()})


def draw_d2l(name: str, shape: torch.Size, one_hot: bool, generator: torch.Generator) -> Tensor:
    """The book's: every matrix N(0, 0.01^2), every bias zero. For one layer, `get_lstm_params` draw for draw."""
    if len(shape) == 1:
        return torch.zeros(shape)
    return torch.randn(shape, generator=generator) * (1 if name == "W_e" else 0.01)


def draw_default(name: str, shape: torch.Size, one_hot: bool, generator: torch.Generator) -> Tensor:
    """For good training: orthogonal recurrent matrices (Saxe et al. 2014), forget bias 1 (Jozefowicz et al. 2015).

    A one-hot input selects one row of W_x*, whatever V is, so these rows are N(0, 1), as those of an embedding
    (measured: benchmarks/LOG.md). The matrices with dense inputs and the output layer are Xavier uniform.
    """
    if len(shape) == 1:
        return torch.ones(shape) if name.endswith(".b_f") else torch.zeros(shape)
    if name == "W_e" or (one_hot and name.startswith("layers.0.W_x")):
        return torch.randn(shape, generator=generator)
    if ".W_h" in name:
        return orthogonal_(torch.empty(shape), generator=generator)
    return xavier_uniform_(torch.empty(shape), generator=generator)


INITS = {"d2l": draw_d2l, "default": draw_default}
