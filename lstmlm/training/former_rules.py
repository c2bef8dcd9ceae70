"""How former versions made a step. A checkpoint has the number of its rules (train.rules), which a resumed run keeps.

1 (lstmlm 0.1): the gradient is scaled by theta / (norm + 1e-6), and the first step of a warm-up has the rate 0.
2: the gradient is scaled by theta / norm, as in the book, and the first step of a warm-up has one part of the peak.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lstmlm.training.optim import grad_clipping


def grad_clipping_of_rules_1(params: Sequence[Tensor], theta: float | None) -> Tensor:
    """`grad_clipping` with 1e-6 added to the norm."""
    return grad_clipping(params, None) if theta is None else torch.nn.utils.clip_grad_norm_(params, theta)
