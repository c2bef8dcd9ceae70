"""The contract of a recurrent layer: `layer(X, state) -> (Y, state)`.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lstmlm.layers.each_span import call_for_spans
from lstmlm.text.spans import Spans

Tensors = dict[str, Tensor]
LayerState = tuple[Tensor, ...]  # (H, C) for an LSTM, (H,) for a GRU or an RNN, each (B, H)


class RecurrentLayer(nn.Module, ABC):
    """One layer of a cell on a backend; `registry.BACKENDS` lists the classes.

    Each backend stores the weights in its own layout. `from_book` and `to_book` convert a dictionary of tensors from
    d2l's names to that layout and back. Both are linear, so they convert gradients and optimizer moments too.

    Attributes:
        names: d2l's names of the weights of the cell, in order.
        init_state: (batch_size, num_hiddens, device) -> the zero state.
        num_inputs: D, the width of the inputs.
    """

    names: list[str]
    init_state: Callable[[int, int, torch.device | str], LayerState]

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs

    def forward(self, X: Tensor, state: LayerState, spans: Spans | None = None) -> tuple[Tensor, LayerState]:
        """X, dense (T, B, D) or ids (T, B) of one-hot rows, and a state -> Y (T, B, H) and the next state.

        With `spans` each of them is computed by itself. What Y has outside of them has no meaning, nor has the next
        state of a lane whose last span does not go on.

        RuntimeError if T is 0, or if ids are not int64 or int32 or not in 0 .. D - 1. B may be 0.
        """
        return self.compute(X, state) if spans is None else self.compute_spans(X, state, spans)

    @abstractmethod
    def compute(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """`forward` where each lane is one span of T steps."""

    def compute_spans(self, X: Tensor, state: LayerState, spans: Spans) -> tuple[Tensor, LayerState]:
        """`forward` with spans."""
        return call_for_spans(self.compute, X, state, spans)

    @classmethod
    @abstractmethod
    def from_book(cls, book: Tensors) -> Tensors:
        """The layer's own tensors from those under d2l's names."""

    @classmethod
    @abstractmethod
    def to_book(cls, own: Tensors) -> Tensors:
        """The inverse of `from_book`."""


def to_dense(X: Tensor, num_inputs: int, dtype: torch.dtype) -> Tensor:
    """Ids (T, B) as one-hot rows (T, B, D); dense X is returned as it is. RuntimeError if ids are out of range."""
    if X.is_floating_point():
        return X
    ids = as_int64(X)
    # The same as functional.one_hot(X, num_inputs), without its check of the ids, which synchronizes with the device
    return torch.zeros(*ids.shape, num_inputs, dtype=dtype, device=ids.device).scatter_(-1, ids[..., None], 1)


def as_int64(ids: Tensor) -> Tensor:
    """The ids (...,) as int64; RuntimeError if they are of another type than int32 or int64."""
    if ids.dtype not in (torch.int64, torch.int32):
        raise RuntimeError(f"ids are int64 or int32, not {str(ids.dtype).removeprefix('torch.')}")
    return ids.long()


def check_range(ids: Tensor, num_inputs: int) -> None:
    """RuntimeError if one of the ids (...,) is not in 0 .. D - 1, where PyTorch would take -1 as the last.

    Only on the CPU: on another device this would wait for the device.
    """
    if ids.device.type == "cpu" and ids.numel():
        numbers = ids.numpy()
        for number in (int(numbers.min()), int(numbers.max())):
            if not 0 <= number < num_inputs:
                raise RuntimeError(f"id {number} is out of range: there are {num_inputs} ids, from 0 on")
