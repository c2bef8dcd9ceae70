"""backend=nn: `torch.nn.LSTM`, `GRU` and `RNN` as layers.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, is_autocast_enabled, nn

from lstmlm.layers.contract import LayerState, RecurrentLayer, Tensors, to_dense
from lstmlm.layers.weight_names import GRU, LSTM, RNN
from lstmlm.scratch.gru import init_gru_state
from lstmlm.scratch.lstm import init_lstm_state
from lstmlm.scratch.rnn import init_rnn_state

Module = nn.LSTM | nn.GRU | nn.RNN

# cuDNN's persistent kernels, in float16, are for one layer whose inputs and hidden units are multiples of this
# (PyTorch, aten/src/ATen/native/cudnn/RNN.cpp)
WIDTH = 128


class TorchLayer(RecurrentLayer):
    """`torch.nn.LSTM`, `GRU` or `RNN` with one layer; the module stacks the gates in its own order, transposed.

    The module's second bias is zero and not trained, so that function and training trajectory are those of d2l.
    """

    gates: str  # d2l's letters in PyTorch's order
    module: type[Module]

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        self.rnn = self.module(num_inputs, num_hiddens)
        nn.init.zeros_(self.second_bias).requires_grad_(False)

    @property
    def second_bias(self) -> nn.Parameter:
        """The module's bias of H W_h, (gates * H,)."""
        return self.rnn.get_parameter("bias_hh_l0")

    def compute(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        H, *C = (part[None] for part in state)  # torch.nn has an axis of layers
        X, before = to_dense(X, self.num_inputs, H.dtype), (H, *C) if C else H
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
        book: Tensors = {}
        for gate, W_x, W_h, b in zip(cls.gates, *(tensor.chunk(len(cls.gates)) for tensor in stacked), strict=True):
            book |= {"W_x" + gate: W_x.T, "W_h" + gate: W_h.T, "b_" + gate: b}
        return {name: book[name] for name in cls.names if name in book}


class TorchLSTM(TorchLayer):
    """PyTorch's order is i, f, g, o; g is d2l's C_tilda."""

    names, gates, module, init_state = LSTM, "ifco", nn.LSTM, staticmethod(init_lstm_state)


class TorchRNN(TorchLayer):
    names, gates, module, init_state = RNN, "h", nn.RNN, staticmethod(init_rnn_state)


class TorchGRU(TorchLayer):
    """PyTorch's order is r, z, n; n is d2l's H_tilda.

    The part of the second bias for n, b_hn, belongs to the cell and is trained.
    """

    names, gates, module, init_state = GRU, "rzh", nn.GRU, staticmethod(init_gru_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        self.second_bias.requires_grad_(True)
        only_n = torch.cat([torch.zeros(2 * num_hiddens), torch.ones(num_hiddens)])
        self.register_buffer("only_n", only_n, persistent=False)
        self.second_bias.register_hook(lambda grad: grad * self.only_n)

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        zeros = torch.zeros_like(book["b_hn"])
        return super().from_book(book) | {"rnn.bias_hh_l0": torch.cat([zeros, zeros, book["b_hn"]])}

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        return super().to_book(own) | {"b_hn": own["rnn.bias_hh_l0"].chunk(3)[2]}


def cast_module(
    rnn: Module, X: Tensor, state: Tensor | tuple[Tensor, ...]
) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
    """`rnn(X, state)`, X (T, B, D) and each part of the state (1, B, H), computed in the dtype of autocast.

    Autocast alone would pass float16 to cuDNN, whatever its dtype (PyTorch, aten/src/ATen/cudnn/AutocastRNN.cpp), and
    small gradients vanish in float16. The results have the dtype of X, as with the other backends.
    """
    device, dtype = X.device.type, torch.get_autocast_dtype(X.device.type)
    weights, inputs = {name: param.to(dtype) for name, param in rnn.named_parameters()}, X.to(dtype)
    if dtype == torch.float16:
        rnn, weights, inputs = widen_inputs(rnn, weights, inputs)
    with torch.autocast(device, enabled=False):
        Y, after = torch.func.functional_call(rnn, weights, (inputs, cast_state(dtype, state)))
    return Y.to(X.dtype), cast_state(X.dtype, after)


def widen_inputs(rnn: Module, weights: Tensors, X: Tensor) -> tuple[Module, Tensors, Tensor]:
    """A module of the same function, its weights and X (T, B, D), all with zeros up to a multiple of WIDTH inputs."""
    if (missing := -rnn.input_size % WIDTH) == 0:
        return rnn, weights, X
    wide = type(rnn)(rnn.input_size + missing, rnn.hidden_size, device="meta")
    W_x = functional.pad(weights["weight_ih_l0"], (0, missing))
    return wide, {**weights, "weight_ih_l0": W_x}, functional.pad(X, (0, missing))


def cast_state(dtype: torch.dtype, state: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """A state, of one part or of several, in another dtype."""
    return tuple(part.to(dtype) for part in state) if isinstance(state, tuple) else state.to(dtype)
