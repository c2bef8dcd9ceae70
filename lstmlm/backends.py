"""One recurrent layer each, one contract: `layer(X, state) -> (Y, state)`.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
X is dense (T, B, D), or ids (T, B) that mean one-hot rows of width D; Y is (T, B, H); state is a tuple of (B, H), as
`init_state` makes it: (H, C) for an LSTM, (H,) for a GRU or an RNN.

Every backend keeps the weights as suits it; `from_book` and `to_book` translate tensors by name between its layout and
the cell's names in the book, `names`. They are linear, so gradients and moments of the optimizer go the same way.
A layer class is named in BACKENDS, and nowhere else: every test of equality and `lstmlm check` find it there.
"""

import torch
from torch import Tensor, is_autocast_enabled, nn

from lstmlm.autocast import cast_module
from lstmlm.errors import BadInput
from lstmlm.fused import FusedLayer
from lstmlm.lstm_cell import LSTMCell
from lstmlm.scratch import init_lstm_state, lstm_layer
from lstmlm.scratch_gru import gru_layer, gru_layer_reset_after, init_gru_state
from lstmlm.scratch_rnn import init_rnn_state, rnn_layer

Tensors = dict[str, Tensor]
LayerState = tuple[Tensor, ...]


def book_names(gates: str) -> list[str]:
    """W_x*, W_h*, b_* of each gate, in the order of the from-scratch pages."""
    return [name + gate for gate in gates for name in ("W_x", "W_h", "b_")]


LSTM = book_names("ifoc")
RNN = book_names("h")
GRU_BEFORE = book_names("zrh")
GRU = [*GRU_BEFORE, "b_hn"]


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with the prefix, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def dense(X: Tensor, num_inputs: int, dtype: torch.dtype) -> Tensor:
    """Ids (T, B) as one-hot rows (T, B, D); what is dense already stays."""
    if X.is_floating_point():
        return X
    # What functional.one_hot(X, num_inputs) gives, without its check, which waits for the device
    return torch.zeros(*X.shape, num_inputs, dtype=dtype, device=X.device).scatter_(-1, X[..., None], 1)


# scratch: the book's loops


class ScratchLayer(nn.Module):
    """A loop of the from-scratch pages, with its tensors, under their names there, as parameters."""

    names: list[str]
    loop: staticmethod
    init_state: staticmethod

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        widths = {"W_x": num_inputs, "W_h": num_hiddens}
        for name in self.names:
            width = widths.get(name[:3])
            start = torch.zeros(num_hiddens) if width is None else torch.randn(width, num_hiddens) * 0.01
            self.register_parameter(name, nn.Parameter(start))

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        params = [getattr(self, name) for name in self.names]
        return self.loop(dense(X, self.num_inputs, state[0].dtype), state, params)

    @staticmethod
    def from_book(book: Tensors) -> Tensors:
        return dict(book)

    @staticmethod
    def to_book(own: Tensors) -> Tensors:
        return dict(own)


class ScratchLSTM(ScratchLayer):
    names, loop, init_state = LSTM, staticmethod(lstm_layer), staticmethod(init_lstm_state)


class ScratchGRU(ScratchLayer):
    names, loop, init_state = GRU, staticmethod(gru_layer_reset_after), staticmethod(init_gru_state)


class ScratchGRUBefore(ScratchLayer):
    names, loop, init_state = GRU_BEFORE, staticmethod(gru_layer), staticmethod(init_gru_state)


class ScratchRNN(ScratchLayer):
    names, loop, init_state = RNN, staticmethod(rnn_layer), staticmethod(init_rnn_state)


# nn: torch.nn


class TorchLayer(nn.Module):
    """`torch.nn.LSTM`, `GRU` or `RNN` with one layer; it stacks the gates in its own order, transposed.

    Its second bias is held at zero and not trained: the same function and the same trajectory as the book's.
    """

    names: list[str]
    gates: str  # the book's letters in PyTorch's order
    module: type[nn.RNNBase]
    init_state: staticmethod

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.rnn = self.module(num_inputs, num_hiddens)
        nn.init.zeros_(self.rnn.bias_hh_l0).requires_grad_(False)

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        H, *C = (part[None] for part in state)  # torch.nn has an axis for layers
        X, before = dense(X, self.num_inputs, H.dtype), (H, *C) if C else H
        Y, after = cast_module(self.rnn, X, before) if is_autocast_enabled(X.device.type) else self.rnn(X, before)
        return Y, tuple(part[0] for part in (after if C else (after,)))

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        return {
            "rnn.weight_ih_l0": torch.cat([book["W_x" + gate].T for gate in cls.gates]),
            "rnn.weight_hh_l0": torch.cat([book["W_h" + gate].T for gate in cls.gates]),
            "rnn.bias_ih_l0": torch.cat([book["b_" + gate] for gate in cls.gates]),
        }

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        stacked = (own["rnn.weight_ih_l0"], own["rnn.weight_hh_l0"], own["rnn.bias_ih_l0"])
        book = {}
        for gate, W_x, W_h, b in zip(cls.gates, *(tensor.chunk(len(cls.gates)) for tensor in stacked), strict=True):
            book |= {"W_x" + gate: W_x.T, "W_h" + gate: W_h.T, "b_" + gate: b}
        return {name: book[name] for name in cls.names if name in book}


class TorchLSTM(TorchLayer):
    """PyTorch's i, f, g, o: g is the book's candidate."""

    names, gates, module, init_state = LSTM, "ifco", nn.LSTM, staticmethod(init_lstm_state)


class TorchRNN(TorchLayer):
    names, gates, module, init_state = RNN, "h", nn.RNN, staticmethod(init_rnn_state)


class TorchGRU(TorchLayer):
    """PyTorch's r, z, n: n is the book's candidate. Of the second bias the third for n, b_hn, is real and trained."""

    names, gates, module, init_state = GRU, "rzh", nn.GRU, staticmethod(init_gru_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        self.rnn.bias_hh_l0.requires_grad_(True)
        only_n = torch.cat([torch.zeros(2 * num_hiddens), torch.ones(num_hiddens)])
        self.register_buffer("only_n", only_n, persistent=False)
        self.rnn.bias_hh_l0.register_hook(lambda grad: grad * self.only_n)

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        zeros = torch.zeros_like(book["b_hn"])
        return super().from_book(book) | {"rnn.bias_hh_l0": torch.cat([zeros, zeros, book["b_hn"]])}

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        return super().to_book(own) | {"b_hn": own["rnn.bias_hh_l0"].chunk(3)[2]}


# cell: the merged gates, stepped through time


class CellLSTM(nn.Module):
    """`LSTMCell` in a loop: one matrix (4H, D + H) for all gates, in the order f, i, o, g."""

    names, gates, init_state = LSTM, "fioc", staticmethod(init_lstm_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.cell = LSTMCell(num_inputs, num_hiddens)

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        outputs = []
        for X_t in dense(X, self.num_inputs, state[0].dtype):
            state = self.cell(X_t, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        rows = [torch.cat([book["W_x" + gate], book["W_h" + gate]]).T for gate in cls.gates]
        return {
            "cell.linear.weight": torch.cat(rows),
            "cell.linear.bias": torch.cat([book["b_" + gate] for gate in cls.gates]),
        }

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        book, H = {}, len(own["cell.linear.bias"]) // 4
        for gate, W, b in zip(
            cls.gates, own["cell.linear.weight"].chunk(4), own["cell.linear.bias"].chunk(4), strict=True
        ):
            book |= {"W_x" + gate: W.T[:-H], "W_h" + gate: W.T[-H:], "b_" + gate: b}
        return {name: book[name] for name in cls.names}


# fused: the merged gates, the whole sequence at once


class FusedLSTM(nn.Module):
    """`FusedLayer`'s function: for each input, state and bias one matrix for all gates, in the book's order."""

    names, init_state = LSTM, staticmethod(init_lstm_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.W_x = nn.Parameter(torch.randn(num_inputs, 4 * num_hiddens) * 0.01)
        self.W_h = nn.Parameter(torch.randn(num_hiddens, 4 * num_hiddens) * 0.01)
        self.b = nn.Parameter(torch.zeros(4 * num_hiddens))

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        Y, *state = FusedLayer.apply(X, self.W_x, self.W_h, self.b, *state)
        return Y, tuple(state)

    @staticmethod
    def from_book(book: Tensors) -> Tensors:
        return {own: torch.cat([book[name] for name in LSTM if name.startswith(kind)], -1) for own, kind in MERGED}

    @staticmethod
    def to_book(own: Tensors) -> Tensors:
        parts = {merged: own[merged].chunk(4, -1) for merged, _ in MERGED}
        return {
            name: parts[merged][k]
            for k in range(4)
            for (merged, _), name in zip(MERGED, LSTM[3 * k : 3 * k + 3], strict=True)
        }


MERGED = (("W_x", "W_x"), ("W_h", "W_h"), ("b", "b_"))  # a tensor of FusedLSTM, and how its four in the book begin

BACKENDS: dict[str, dict[str, type[nn.Module]]] = {
    "lstm": {"scratch": ScratchLSTM, "nn": TorchLSTM, "cell": CellLSTM, "fused": FusedLSTM},
    "gru": {"scratch": ScratchGRU, "nn": TorchGRU},
    "gru_before": {"scratch": ScratchGRUBefore},
    "rnn": {"scratch": ScratchRNN, "nn": TorchRNN},
}


def layer_class(cell: str, backend: str) -> type[nn.Module]:
    """The layer of a cell on a backend; BadInput lists the pairs that there are."""
    if backend not in BACKENDS.get(cell, {}):
        there = "; ".join(f"{one} on {', '.join(backends)}" for one, backends in BACKENDS.items())
        raise BadInput(f"backend: there is no {cell} on {backend}: there are {there}")
    return BACKENDS[cell][backend]
