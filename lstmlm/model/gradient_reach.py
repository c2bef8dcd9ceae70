"""How far back the gradients of a trained model reach, so how much it can have forgotten. d2l section 9.7 has why.

B = places, T = num_steps, P = parts of the state: H, for an LSTM H and C.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor

WARM_UP = 100  # characters read before the first state that is looked at


class Net(Protocol):
    """A model of one direction: RNNModel, or one by d2l's names. Its state is a tensor, or a tuple of them."""

    def begin_state(self, *, batch_size: int, device: torch.device | str) -> Any: ...

    def __call__(self, X: Tensor, state: Any, /) -> tuple[Tensor, Any]: ...


def measure_reach(
    net: Net, corpus: Sequence[int], device: torch.device | str, num_steps: int = 50, places: int = 100
) -> Tensor:
    """For each part of the state, (P, T): the gradient at a state 1 .. T characters before the one that is predicted.

    The loss of one character is differentiated with respect to the states before it. Given are the norms of these
    gradients relative to the last state's, their geometric mean over places spread evenly over the text.
    """
    length = count_characters(num_steps) - 1
    firsts = torch.linspace(0, len(corpus) - length - 1, places).long()
    windows = torch.tensor(corpus, device=device)[firsts[:, None] + torch.arange(length + 1)]  # (B, length + 1)
    with torch.no_grad():
        _, state = net(windows[:, :WARM_UP], net.begin_state(batch_size=places, device=device))
    states: list[Tensor] = []  # P of each step, from the first that is looked at to the last
    for t in range(WARM_UP, length):
        # Copies, because C is also part of the H of its own step, and that is not what the next step reads
        parts = [part.clone().requires_grad_() for part in ([state] if isinstance(state, Tensor) else state)]
        states += parts
        logits, state = net(windows[:, t : t + 1], parts[0] if isinstance(state, Tensor) else tuple(parts))
    loss = functional.cross_entropy(logits, windows[:, length], reduction="sum")
    norms = torch.stack([norm_of_each(gradient) for gradient in torch.autograd.grad(loss, states)])  # (T*P, B)
    norms = norms.view(num_steps, len(parts), places).flip(0).clamp_min(1e-30)
    return (norms / norms[0]).log().mean(2).exp().transpose(0, 1).cpu()


def count_characters(num_steps: int) -> int:
    """How many characters a corpus must have at least: those read before, the steps, and the one that is predicted."""
    return WARM_UP + num_steps + 1


def norm_of_each(gradient: Tensor) -> Tensor:
    """The norm for each place: (B, H) or (L, B, H) -> (B,)."""
    return gradient.movedim(-2, 0).flatten(1).square().sum(1).sqrt()
