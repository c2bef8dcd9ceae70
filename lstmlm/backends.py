"""One recurrent layer each, one contract: `layer(X, state) -> (Y, state)`.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
X is dense (T, B, D), or ids (T, B) that mean one-hot rows of width D; Y is (T, B, H); state is (H, C),
each (B, H). Every backend keeps the weights as suits it; `from_book` and `to_book` translate tensors by name
between its layout and the book's 12. They are linear, so gradients and moments of the optimizer go the same way.
"""

import torch
from torch import Tensor, nn

from lstmlm.scratch import State, get_lstm_layer_params, lstm_layer

# The names of the 12 tensors, in the order of scratch.py
LAYER_NAMES = [name + gate for gate in "ifoc" for name in ("W_x", "W_h", "b_")]

Tensors = dict[str, Tensor]


def dense(X: Tensor, num_inputs: int, dtype: torch.dtype) -> Tensor:
    """Ids (T, B) as one-hot rows (T, B, D); what is dense already stays."""
    if X.is_floating_point():
        return X
    # What functional.one_hot(X, num_inputs) gives, without its check, which waits for the device
    return torch.zeros(*X.shape, num_inputs, dtype=dtype, device=X.device).scatter_(-1, X[..., None], 1)


class ScratchLayer(nn.Module):
    """The book's loop over time, `scratch.lstm_layer`, with its 12 tensors as parameters."""

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        params = get_lstm_layer_params(num_inputs, num_hiddens, "cpu")
        for name, param in zip(LAYER_NAMES, params, strict=True):
            self.register_parameter(name, nn.Parameter(param.detach()))

    def forward(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        params = [getattr(self, name) for name in LAYER_NAMES]
        return lstm_layer(dense(X, self.num_inputs, self.W_xi.dtype), state, params)

    @staticmethod
    def from_book(book: Tensors) -> Tensors:
        return dict(book)

    @staticmethod
    def to_book(own: Tensors) -> Tensors:
        return dict(own)


class TorchLayer(nn.Module):
    """`torch.nn.LSTM` with one layer. It stacks the gates i, f, g, o (g is the book's candidate), transposed.

    Its second bias is held at zero and not trained: the same function and the same trajectory as the book's.
    """

    GATES = "ifco"

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.rnn = nn.LSTM(num_inputs, num_hiddens)
        nn.init.zeros_(self.rnn.bias_hh_l0).requires_grad_(False)

    def forward(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        H, C = state
        Y, (H, C) = self.rnn(dense(X, self.num_inputs, H.dtype), (H[None], C[None]))
        return Y, (H[0], C[0])

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        def stacked(name):
            return torch.cat([book[name + gate].T for gate in cls.GATES])

        return {
            "rnn.weight_ih_l0": stacked("W_x"),
            "rnn.weight_hh_l0": stacked("W_h"),
            "rnn.bias_ih_l0": torch.cat([book["b_" + gate] for gate in cls.GATES]),
        }

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        stacked = (own["rnn.weight_ih_l0"], own["rnn.weight_hh_l0"], own["rnn.bias_ih_l0"])
        book = {}
        for gate, W_x, W_h, b in zip(cls.GATES, *(tensor.chunk(4) for tensor in stacked), strict=True):
            book |= {"W_x" + gate: W_x.T, "W_h" + gate: W_h.T, "b_" + gate: b}
        return {name: book[name] for name in LAYER_NAMES}


BACKENDS = {"scratch": ScratchLayer, "nn": TorchLayer}
