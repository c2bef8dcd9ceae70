"""What training changes: the weights of a model, their optimizer's moments, and their average."""

import torch

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.dotted import under
from lstmlm.training.ema import WeightAverage
from lstmlm.training.loss_scale import LossScale
from lstmlm.training.optim import moments_from_book, moments_to_book


class Learner:
    """A model with its optimizer and, where there are any, the average of its weights and the scale of its loss."""

    def __init__(
        self,
        model: RNNModel,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None = None,
        loss_scale: LossScale | None = None,
    ) -> None:
        self.model, self.optimizer, self.average, self.loss_scale = model, optimizer, average, loss_scale
        # In the model's order, which fixes the last bits of their gradient's norm; listed once, for speed
        self.params = list(model.trained().values())

    def to_tensors(self) -> Tensors:
        """For a checkpoint: the weights under the book's names, `optimizer.`, `ema.`, generator, scale of the loss."""
        tensors = self.model.book_weights()
        tensors |= {f"optimizer.{name}": t for name, t in moments_to_book(self.model, self.optimizer).items()}
        if self.average is not None:
            tensors |= {f"ema.{name}": tensor for name, tensor in self.average.to_book().items()}
        if self.model.dropout_generator is not None:
            tensors["run.dropout"] = self.model.dropout_generator.get_state()
        if self.loss_scale is not None:
            tensors["run.loss_scale"] = self.loss_scale.to_tensor()
        return tensors

    def restore(self, loaded: Checkpoint) -> None:
        """Take over what `to_tensors` gave, on any backend.

        KeyError, RuntimeError or ValueError if the tensors are not those of such a model.
        """
        self.model.load_book_weights(loaded.weights)
        moments_from_book(self.model, self.optimizer, loaded.optimizer)
        if self.average is not None:
            self.average.from_book(under("ema.", loaded.tensors))
        if "run.dropout" in loaded.tensors and self.model.dropout_generator is not None:
            self.model.dropout_generator.set_state(loaded.tensors["run.dropout"])
        if self.loss_scale is not None:
            self.loss_scale.restore(loaded.tensors["run.loss_scale"])
