"""A model in evaluation mode for a block of code: nothing is dropped."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode; at the end of the block, or when it raises, restore the mode of before.

    A generator should not yield inside the block: its consumer may stop there.
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
