"""The gradient of a batch, in parts where the whole would need too much memory.

B = batch_size, T = num_steps.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.model import RNNModel, State
from lstmlm.precision import forward


def back_propagate(
    model: RNNModel, X: Tensor, Y: Tensor, state: State, micro_batches: int, precision: str
) -> tuple[Tensor, State]:
    """Add the gradient of the mean loss of X, Y (B, T), from the state, to the parameters' `grad`.

    Returns the loss, in nats per character, and the next state, neither with a graph. The B lanes are taken in
    `micro_batches` equal parts, one after the other: the mean of the parts' means is the mean of all, so it is the
    gradient of the whole batch, with the memory of one part. (Dropout is drawn for each part: other units fall.)
    """
    if micro_batches == 1:
        return back_propagate_whole(model, X, Y, state, precision)
    lanes = (X.chunk(micro_batches), Y.chunk(micro_batches), *(part.chunk(micro_batches, 1) for part in state))
    share = 1 / micro_batches
    done = [back_propagate_whole(model, X, Y, state, precision, share) for X, Y, *state in zip(*lanes, strict=True)]
    losses, states = zip(*done, strict=True)
    return torch.stack(losses).sum(), tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))


def back_propagate_whole(
    model: RNNModel, X: Tensor, Y: Tensor, state: State, precision: str, share: float | None = None
) -> tuple[Tensor, State]:
    """`back_propagate` in one part, whose loss counts by its share of the whole."""
    logits, state = forward(model, X, tuple(state), precision)
    loss = functional.cross_entropy(logits, Y.T.flatten())  # logits (T*B, V) are time-major
    if share is not None:
        loss = loss * share
    loss.backward()
    return loss.detach(), tuple(part.detach() for part in state)
