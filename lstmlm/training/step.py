"""The training step, for everything that trains: runs, the learning-rate range test, thread tuning, `lstmlm check`.

B = batch_size, T = num_steps.
"""

from typing import NamedTuple

from torch import Tensor

from lstmlm.distributed.ranks import ONE_PROCESS, Averages
from lstmlm.model.rnn_model import State
from lstmlm.text.spans import Spans
from lstmlm.training import adamw_native
from lstmlm.training.backprop import back_propagate
from lstmlm.training.former_rules import compute_clip_factor_of_rules_1
from lstmlm.training.learner import Learner
from lstmlm.training.optim import compute_clip_factor, compute_norm, scale_gradients
from lstmlm.training.plan import Recipe


class StepResult(NamedTuple):
    loss: Tensor  # before the step, in nats per character, without a graph
    norm: Tensor  # of the gradient, before clipping; 0 if float16 overflowed and the step was skipped
    state: State  # after X, without a graph
    num_targets: int | None  # of all ranks, if their numbers differ


def train_step(
    learner: Learner,
    X: Tensor,
    Y: Tensor,
    state: State,
    recipe: Recipe,
    ranks: Averages = ONE_PROCESS,
    num_targets: int | None = None,
    spans: Spans | None = None,
) -> StepResult:
    """One optimizer step on X, Y (B, T) from the state, at the learning rate that the optimizer has.

    Each of several `ranks` has B of the lanes; loss and norm are those of all. `num_targets` is the number of those of
    Y, where it differs between ranks; only their sum waits for the device. `spans` are the documents in X. A step of
    AdamW in float32 on a CPU is one pass in C, where there is a compiler.
    """
    learner.model.train()
    learner.optimizer.zero_grad()
    loss_scale, precision = learner.loss_scale, recipe.precision
    loss, state = back_propagate(learner.model, X, Y, state, recipe.micro_batches, precision, loss_scale, spans)
    loss, num_targets = ranks.average(learner.params, loss, num_targets)
    if loss_scale is not None:
        loss_scale.unscale(learner.optimizer)
    norm = compute_norm(learner.params)
    compute_factor = compute_clip_factor_of_rules_1 if recipe.rules == 1 else compute_clip_factor
    factor = compute_factor(norm, recipe.grad_clip)
    if loss_scale is not None:
        scale_gradients(learner.params, factor)
        norm = loss_scale.step(learner.optimizer, norm)
    elif adamw_native.can_step(learner.optimizer):
        adamw_native.make_step(learner.optimizer, factor)
    else:
        scale_gradients(learner.params, factor)
        learner.optimizer.step()
    return StepResult(loss, norm, state, num_targets)
