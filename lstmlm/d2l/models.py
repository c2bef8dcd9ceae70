"""A language model around a recurrent function or layer, by the book's names: d2l 0.17, sections 8.5 and 8.6.

T = num_steps, B = batch_size, V = vocab_size, H = num_hiddens, L = num_layers times directions.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from lstmlm.model.evaluation_mode import evaluation_mode

Device = torch.device | str
State = Any  # of RNNModelScratch a tuple of (B, H); of RNNModel a tensor (L, B, H), for an nn.LSTM two in a tuple


class RNNModelScratch:
    """The model of three functions: those of the RNN, of the GRU, of the LSTM, or your own.

    `get_params(vocab_size, num_hiddens, device)` returns a list of tensors; `init_state(batch_size, num_hiddens,
    device)` a tuple of (B, H); `forward_fn(inputs, state, params)`, for one-hot rows (T, B, V), logits (T*B, V) and the
    next state.
    """

    def __init__(
        self,
        vocab_size: int,
        num_hiddens: int,
        device: Device,
        get_params: Callable[[int, int, Device], list[Tensor]],
        init_state: Callable[[int, int, Device], State],
        forward_fn: Callable[[Tensor, State, list[Tensor]], tuple[Tensor, State]],
    ) -> None:
        self.vocab_size, self.num_hiddens = vocab_size, num_hiddens
        self.params = get_params(vocab_size, num_hiddens, device)
        self.init_state, self.forward_fn = init_state, forward_fn

    def __call__(self, X: Tensor, state: State) -> tuple[Tensor, State]:
        """Ids (B, T) and a state -> logits (T*B, V), time-major, and the next state."""
        inputs = functional.one_hot(X.T, self.vocab_size).to(self.params[0].dtype)
        return self.forward_fn(inputs, state, self.params)

    def begin_state(self, batch_size: int, device: Device) -> State:
        """The zero state, each part (B, H), in the dtype of the parameters."""
        zeros = self.init_state(batch_size, self.num_hiddens, device)
        return tuple(part.to(self.params[0].dtype) for part in zeros)


class RNNModel(nn.Module):
    """The model of an nn.RNN, nn.GRU or nn.LSTM whose input is V wide: one-hot rows, the layer, a linear output."""

    def __init__(self, rnn_layer: nn.RNNBase, vocab_size: int) -> None:
        super().__init__()
        self.rnn, self.vocab_size = rnn_layer, vocab_size
        self.num_hiddens, self.num_directions = rnn_layer.hidden_size, 2 if rnn_layer.bidirectional else 1
        self.linear = nn.Linear(self.num_hiddens * self.num_directions, vocab_size)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Ids (B, T) and a state -> logits (T*B, V), time-major, and the next state."""
        X = functional.one_hot(inputs.T, self.vocab_size).to(self.linear.weight.dtype)
        Y, state = self.rnn(X, state)
        return self.linear(Y.flatten(0, 1)), state

    def begin_state(self, device: Device, batch_size: int = 1) -> State:
        """The zero state: a tensor (L, B, H), for an nn.LSTM two. The book has the arguments in this order here."""
        shape = (self.num_directions * self.rnn.num_layers, batch_size, self.num_hiddens)
        H = torch.zeros(shape, dtype=self.linear.weight.dtype, device=device)
        return (H, torch.zeros_like(H)) if isinstance(self.rnn, nn.LSTM) else H


Net = RNNModelScratch | RNNModel


def evaluating(net: Net) -> AbstractContextManager[None]:
    """A block in which the net drops nothing; a scratch net never does."""
    return evaluation_mode(net) if isinstance(net, nn.Module) else nullcontext()


def detach_state(state: State) -> State:
    """The same state without the graph that led to it: gradients end there, and the old graph is freed."""
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)


def try_gpu(i: int = 0) -> torch.device:
    """GPU number i where it exists, else the CPU."""
    return torch.device("cuda", i) if torch.cuda.device_count() > i else torch.device("cpu")
