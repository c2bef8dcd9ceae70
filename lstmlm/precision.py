"""The type of number that the products of a training step are made in: float32, or bfloat16 where it is quicker.

B = batch_size, T = num_steps, V = vocab_size.
"""

import torch
from torch import Tensor

from lstmlm.model import RNNModel, State

PRECISIONS = ("float32", "bf16")


def forward(model: RNNModel, X: Tensor, state: State, precision: str) -> tuple[Tensor, State]:
    """`model(X, state)`, X (B, T) -> logits (T*B, V) and the next state, both in float32 whatever the precision.

    bf16 is mixed precision (Micikevicius et al. 2018), with bfloat16 (Kalamkar et al. 2019), whose exponents are those
    of float32, so that gradients need no scaling: torch.autocast has matrix products in it, and weights, carried state,
    loss and all that the optimizer does stay in float32. Back-propagation is outside of autocast, and gives each
    operation's gradient in the type of that operation.
    """
    if precision == "float32":
        return model(X, state)
    with torch.autocast(X.device.type, torch.bfloat16):
        logits, state = model(X, state)
    return logits.float(), tuple(part.float() for part in state)
