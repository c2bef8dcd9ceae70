"""The exponential moving average of the weights: what a noisy walk of the weights circles around.

Averages of the iterates of a stochastic descent are better than the last of them (Polyak and Juditsky 1992); the
exponential one forgets the beginning.
"""

import torch

from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel


class WeightAverage:
    """The average of the weights w_1 .. w_n after each of n steps; the share of w_k is decay^(n-k), made to sum to 1.

    So the weights before the first step have no share, and a run shorter than 1 / (1 - decay) steps has about their
    mean (the correction of Adam: Kingma and Ba 2015). As a recursion: it moves by (1 - decay) / (1 - decay^n) of the
    way to w_n. It is linear, each number by itself, so it is the same on every backend.
    """

    def __init__(self, model: RNNModel, decay: float) -> None:
        self.model, self.decay = model, decay
        self.own = {name: param.detach().clone() for name, param in model.trained().items()}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """The model's weights after step `step`, 1 for the first."""
        share = (1 - self.decay) / (1 - self.decay**step)
        for name, param in self.model.trained().items():
            self.own[name].lerp_(param, share)

    def to_book(self) -> Tensors:
        """Contiguous copies of it under the book's names."""
        book = self.model.to_book(self.own)
        return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in book.items()}

    def from_book(self, book: Tensors) -> None:
        """Go on from what `to_book` gave, on any backend."""
        for name, tensor in self.model.from_book(book).items():
            self.own[name].copy_(tensor)
