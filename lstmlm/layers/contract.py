"""The contract of a recurrent layer: `layer(X, state) -> (Y, state)`.

T = num_steps, B = batch_size, D = num_inputs, H = num_hiddens.
X is dense (T, B, D), or ids (T, B) that stand for one-hot rows of width D; Y is (T, B, H); state is a tuple of (B, H),
as `init_state` makes it: (H, C) for an LSTM, (H,) for a GRU or an RNN.

Each backend stores the weights in a layout of its own; `from_book` and `to_book` translate tensors by name between that
layout and the cell's names in the book, `names`. Both are linear, so gradients and optimizer moments are translated the
same way.
"""

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
LayerState = tuple[Tensor, ...]


def to_dense(X: Tensor, num_inputs: int, dtype: torch.dtype) -> Tensor:
    """Ids (T, B) as one-hot rows (T, B, D); what is dense already stays."""
    if X.is_floating_point():
        return X
    # What functional.one_hot(X, num_inputs) gives, without its check, which waits for the device
    return torch.zeros(*X.shape, num_inputs, dtype=dtype, device=X.device).scatter_(-1, X[..., None], 1)
