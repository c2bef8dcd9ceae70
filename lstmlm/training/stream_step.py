"""The training step on a batch of streams: from the state that the batch before it has left.

B = batch_size, T = num_steps.
"""

from torch import Tensor

from lstmlm.distributed.ranks import ONE_PROCESS, Averages
from lstmlm.model.rnn_model import State
from lstmlm.text.batches import Streams
from lstmlm.training.learner import Learner
from lstmlm.training.plan import Recipe
from lstmlm.training.step import StepResult, train_step


def train_on_streams(
    learner: Learner,
    streams: Streams,
    carried: State | None,
    X: Tensor,
    Y: Tensor,
    recipe: Recipe,
    ranks: Averages = ONE_PROCESS,
) -> tuple[StepResult, State | None]:
    """One optimizer step on X, Y (B, T), the own lanes, and the state that the next batch may go on from.

    A carried state of None, and a batch that does not continue the one before it, begin at the zero state.
    """
    before = None if carried is None else streams.carry(carried, X)
    if before is None:
        before = learner.model.begin_state(X.shape[0], X.device)
    num_targets, spans = streams.weigh(Y), streams.find_spans(X, Y)
    done = train_step(learner, X, Y, before, recipe, ranks, num_targets, spans)
    # A batch with another number of lanes has whole documents, which nothing continues
    return done, done.state if X.shape[0] == streams.own_lanes else None
