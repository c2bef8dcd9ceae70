"""The contract of a recurrent layer: `layer(X, state) -> (Y, state)`.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]
LayerState = tuple[Tensor, ...]  # (H, C) for an LSTM, (H,) for a GRU or an RNN, each (B, H)


class RecurrentLayer(nn.Module):
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

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """X, dense (T, B, D) or ids (T, B) of one-hot rows, and a state -> Y (T, B, H) and the next state."""
        raise NotImplementedError

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        """The layer's own tensors from those under d2l's names."""
        raise NotImplementedError

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        """The inverse of `from_book`."""
        raise NotImplementedError


def to_dense(X: Tensor, num_inputs: int, dtype: torch.dtype) -> Tensor:
    """Ids (T, B) as one-hot rows (T, B, D); dense X is returned as it is."""
    if X.is_floating_point():
        return X
    # The same as functional.one_hot(X, num_inputs), without its check of the ids, which synchronizes with the device
    return torch.zeros(*X.shape, num_inputs, dtype=dtype, device=X.device).scatter_(-1, X[..., None], 1)
