"""The training step, for everything that trains: runs, the learning-rate range test, thread tuning, `lstmlm check`.

B = batch_size, T = num_steps.
"""

from typing import NamedTuple

from torch import Tensor

from lstmlm.distributed.ranks import ONE_PROCESS, Averages
from lstmlm.model.rnn_model import State
from lstmlm.training.backprop import back_propagate
from lstmlm.training.former_rules import grad_clipping_of_rules_1
from lstmlm.training.learner import Learner
from lstmlm.training.optim import grad_clipping
from lstmlm.training.plan import Recipe


class StepResult(NamedTuple):
    loss: Tensor  # before the step, in nats per character, without a graph
    norm: Tensor  # of the gradient, before clipping
    state: State  # after X, without a graph


def train_step(
    learner: Learner, X: Tensor, Y: Tensor, state: State, recipe: Recipe, ranks: Averages = ONE_PROCESS
) -> StepResult:
    """One optimizer step on X, Y (B, T) from the state, at the learning rate that the optimizer has.

    Each of several `ranks` has B of the lanes; loss and norm are those of all. Nothing here waits for the device.
    """
    learner.model.train()
    learner.optimizer.zero_grad()
    loss, state = back_propagate(learner.model, X, Y, state, recipe.micro_batches, recipe.precision)
    loss = ranks.average(learner.params, loss)
    clip = grad_clipping_of_rules_1 if recipe.rules == 1 else grad_clipping
    norm = clip(learner.params, recipe.grad_clip)
    learner.optimizer.step()
    return StepResult(loss, norm, state)
