"""torch.nn's recurrent modules under torch.autocast.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.
"""

import torch
from torch import Tensor, nn


def cast_module(rnn: nn.RNNBase, X: Tensor, state: Tensor | tuple[Tensor, ...]):
    """`rnn(X, state)`, X (T, B, D) and each part of the state (1, B, H), computed in the type that autocast was told.

    Autocast itself gives cuDNN float16, whatever type it was told (PyTorch, aten/src/ATen/cudnn/AutocastRNN.cpp), and
    in float16 small gradients vanish. What comes back has the type of X, as from the other backends.
    """
    device, dtype = X.device.type, torch.get_autocast_dtype(X.device.type)
    weights = {name: param.to(dtype) for name, param in rnn.named_parameters()}
    with torch.autocast(device, enabled=False):
        Y, after = torch.func.functional_call(rnn, weights, (X.to(dtype), in_type(dtype, state)))
    return Y.to(X.dtype), in_type(X.dtype, after)


def in_type(dtype: torch.dtype, state: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return tuple(part.to(dtype) for part in state) if isinstance(state, tuple) else state.to(dtype)
