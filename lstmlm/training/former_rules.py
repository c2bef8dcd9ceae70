"""How former versions made a step. A checkpoint has the number of its rules (train.rules), which a resumed run keeps.

1 (lstmlm 0.1): the gradient is scaled by theta / (norm + 1e-6), and the first step of a warm-up has the rate 0.
2: the gradient is scaled by theta / norm, as in the book, and the first step of a warm-up has one part of the peak.
"""

from torch import Tensor

from lstmlm.training.optim import compute_clip_factor


def compute_clip_factor_of_rules_1(norm: Tensor, theta: float | None) -> Tensor | None:
    """`compute_clip_factor` with 1e-6 added to the norm."""
    return compute_clip_factor(norm + 1e-6, theta)
