"""What the weights are before the first step, drawn under the book's names: the same for every backend.

D = width of a layer's input, V = vocab_size, H = num_hiddens, L = num_layers.
"""

import torch

from lstmlm.backends import LAYER_NAMES, Tensors
from lstmlm.model import RNNModel
from lstmlm.scratch import get_lstm_layer_params, get_lstm_params


def initialize(model: RNNModel, init: str, generator: torch.Generator) -> None:
    """Draw the weights of `model` by the rule named `init`, with a generator on the CPU."""
    model.load_book_weights(INITS[init](model, generator))


def d2l(model: RNNModel, generator: torch.Generator) -> Tensors:
    """The book's: every matrix N(0, 0.01^2), every bias zero. One layer is `get_lstm_params`, draw for draw."""
    V, H = model.vocab_size, model.num_hiddens
    width = model.embedding_dim or V
    *first, W_hq, b_q = get_lstm_params(V, H, "cpu", generator)
    if width != V:
        first = get_lstm_layer_params(width, H, "cpu", generator)
    layers = [first] + [get_lstm_layer_params(H, H, "cpu", generator) for _ in range(model.num_layers - 1)]
    return _named(layers, W_hq, b_q, _embedding(model, generator))


def default(model: RNNModel, generator: torch.Generator) -> Tensors:
    """What trains well: orthogonal recurrent matrices (Saxe et al. 2014), forget bias 1 (Jozefowicz et al. 2015).

    A one-hot input picks one row of W_x*, whatever V is, so the rows are N(0, 1) (measured, benchmarks/LOG.md);
    dense inputs and the head get Xavier's uniform.
    """
    V, H = model.vocab_size, model.num_hiddens
    layers = []
    for k in range(model.num_layers):
        width = H if k else model.embedding_dim or V
        layer = []
        for name in LAYER_NAMES:
            if name.startswith("W_x") and k == 0 and model.embedding_dim is None:
                layer.append(torch.randn(width, H, generator=generator))
            elif name.startswith("W_x"):
                layer.append(torch.nn.init.xavier_uniform_(torch.empty(width, H), generator=generator))
            elif name.startswith("W_h"):
                layer.append(torch.nn.init.orthogonal_(torch.empty(H, H), generator=generator))
            else:
                layer.append(torch.ones(H) if name == "b_f" else torch.zeros(H))
        layers.append(layer)
    W_hq = torch.nn.init.xavier_uniform_(torch.empty(H, V), generator=generator)
    return _named(layers, W_hq, torch.zeros(V), _embedding(model, generator))


def _embedding(model: RNNModel, generator: torch.Generator) -> Tensors:
    if model.embedding_dim is None:
        return {}
    return {"W_e": torch.randn(model.vocab_size, model.embedding_dim, generator=generator)}


def _named(layers, W_hq, b_q, embedding: Tensors) -> Tensors:
    book = {
        f"layers.{k}.{name}": tensor.detach()
        for k, layer in enumerate(layers)
        for name, tensor in zip(LAYER_NAMES, layer, strict=True)
    }
    return book | {"W_hq": W_hq.detach(), "b_q": b_q.detach()} | embedding


INITS = {"d2l": d2l, "default": default}
