"""backend=scratch: the loops of scratch/ as layers.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lstmlm.layers.contract import LayerState, RecurrentLayer, Tensors, to_dense
from lstmlm.layers.weight_names import GRU, GRU_BEFORE, LSTM, RNN
from lstmlm.scratch.gru import gru_layer, gru_layer_reset_after, init_gru_state
from lstmlm.scratch.lstm import init_lstm_state, lstm_layer
from lstmlm.scratch.rnn import init_rnn_state, rnn_layer


class ScratchLayer(RecurrentLayer):
    """A loop of scratch/; its parameters have d2l's names and shapes."""

    loop: Callable[..., tuple[Tensor, LayerState]]  # (inputs (T, B, D), state, params)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        widths = {"W_x": num_inputs, "W_h": num_hiddens}
        for name in self.names:
            width = widths.get(name[:3])
            start = torch.zeros(num_hiddens) if width is None else torch.randn(width, num_hiddens) * 0.01
            self.register_parameter(name, nn.Parameter(start))

    def compute(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        params = [getattr(self, name) for name in self.names]
        return self.loop(to_dense(X, self.num_inputs, state[0].dtype), state, params)

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        return dict(book)

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        return dict(own)


class ScratchLSTM(ScratchLayer):
    names, loop, init_state = LSTM, staticmethod(lstm_layer), staticmethod(init_lstm_state)


class ScratchGRU(ScratchLayer):
    names, loop, init_state = GRU, staticmethod(gru_layer_reset_after), staticmethod(init_gru_state)


class ScratchGRUBefore(ScratchLayer):
    names, loop, init_state = GRU_BEFORE, staticmethod(gru_layer), staticmethod(init_gru_state)


class ScratchRNN(ScratchLayer):
    names, loop, init_state = RNN, staticmethod(rnn_layer), staticmethod(init_rnn_state)
