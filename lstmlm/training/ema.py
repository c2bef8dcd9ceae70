"""The exponential moving average of the weights.

The average of the iterates of stochastic gradient descent is better than the last of them (Polyak and Juditsky 1992);
an exponential average forgets the beginning.
"""

import torch

from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel


class WeightAverage:
    """The average of the weights w_1 .. w_n after each of n steps; the share of w_k is decay^(n-k), made to sum to 1.

    The weights before the first step have no share, and in a run shorter than 1 / (1 - decay) steps the average is
    close to the mean (this is the bias correction of Adam: Kingma and Ba 2015). As a recursion: step n moves the
    average by (1 - decay) / (1 - decay^n) of the way to w_n. It is linear and elementwise, so it is the same on every
    backend.
    """

    def __init__(self, model: RNNModel, decay: float) -> None:
        self.model, self.decay = model, decay
        self.own = {name: param.detach().clone() for name, param in model.trained().items()}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Take in the model's weights after optimizer step `step`, 1 for the first."""
        share = (1 - self.decay) / (1 - self.decay**step)
        for name, param in self.model.trained().items():
            self.own[name].lerp_(param, share)

    def to_book(self) -> Tensors:
        """Contiguous copies of the average under the book's names."""
        book = self.model.to_book(self.own)
        return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in book.items()}

    def from_book(self, book: Tensors) -> None:
        """Continue from what `to_book` gave, on any backend."""
        for name, tensor in self.model.from_book(book).items():
            self.own[name].copy_(tensor)
