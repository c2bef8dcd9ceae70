"""The training loop of the ranks that follow rank 0: they make its steps on their own lanes, and decide nothing.

B = lanes of this process, T = num_steps.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.distributed.group import Group, Kind, Order
from lstmlm.system.signals import StopRequest
from lstmlm.text.batches import Streams
from lstmlm.training.clock import Clock
from lstmlm.training.learner import Learner
from lstmlm.training.loop_state import LoopState
from lstmlm.training.meter import Meter
from lstmlm.training.optim import set_lr
from lstmlm.training.plan import Recipe
from lstmlm.training.stream_step import train_on_streams


class Follower:
    """Follows the Trainer of rank 0, with a learner of its own, which has the same weights at every step."""

    def __init__(
        self, learner: Learner, streams: Streams, data_generator: torch.Generator, recipe: Recipe, group: Group
    ) -> None:
        self.learner, self.streams, self.data_generator, self.recipe = learner, streams, data_generator, recipe
        self.group = group
        self.state = LoopState(data_generator.get_state(), Meter(streams.device), Clock(0.0))

    def begin(self, start: Checkpoint) -> None:
        """Take over the state of the run, of which the carried state is that of the lanes of all processes."""
        self.learner.restore(start)
        zero_state = self.learner.model.begin_state(self.streams.batch_size, self.streams.device)
        self.state.restore(start, zero_state, self.streams.share)

    def follow(self, stop: StopRequest) -> Order:
        """Make the steps that rank 0 orders. Returns the first order that is not of training."""
        batches = self.iterate_batches()
        while True:
            order = self.group.exchange(stop=stop.exit_code or 0)
            if order.kind is Kind.STEP:
                self.train_on_batch(*next(batches), order.value)
            elif order.kind is Kind.GATHER and self.state.carried is not None:
                self.group.gather(self.state.carried)
            elif order.kind is not Kind.WAIT:
                return order

    def iterate_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """X, Y (B, T) in the order of Trainer.train_epoch, epoch after epoch without end."""
        state = self.state
        while True:
            if state.batch == 0:
                state.epoch_start = self.data_generator.get_state()
            self.data_generator.set_state(state.epoch_start)
            yield from islice(self.streams.epoch(self.data_generator), state.batch, None)
            state.batch, state.carried = 0, None

    def train_on_batch(self, X: Tensor, Y: Tensor, lr: float) -> None:
        state, learner = self.state, self.learner
        set_lr(learner.optimizer, lr)
        _, state.carried = train_on_streams(learner, self.streams, state.carried, X, Y, self.recipe, self.group)
        state.count_step(Y.numel())
