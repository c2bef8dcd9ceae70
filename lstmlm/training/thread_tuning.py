"""How long a training step takes on this machine, and with how many threads it takes least.

Measured with a few real steps of a model that is not used afterwards. B = batch_size, T = num_steps.
"""

import itertools
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.spans import Spans
from lstmlm.training.learner import Learner
from lstmlm.training.loss_scale import make_loss_scale
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

ROUNDS = 5  # each thread count is measured once per round
BUDGET = 1.0  # seconds after which no round begins
SHORT = 0.1  # seconds: a step that takes less is measured again, with its threads started
GLIMPSE, FAR_BEHIND = 8, 2.0  # time steps that show which thread counts are hopeless: times as slow as the best
WORTH = 1.1  # a step with fewer threads may take so many times the quickest


def make_timed_step(
    model: RNNModel, X: Tensor, Y: Tensor, optimizer: str, recipe: Recipe, spans: Spans | None = None
) -> Callable[[int], float]:
    """A function that makes a training step on X, Y (B, T) with a number of threads and returns its seconds.

    The model's weights are changed. No generator is drawn from but the model's own.
    """
    loss_scale = make_loss_scale(recipe.precision, X.device)
    learner = Learner(model, build_optimizer(model, optimizer, 1e-3, 0.0), loss_scale=loss_scale)

    def step(threads: int) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        start = time.perf_counter()
        train_step(learner, X, Y, model.begin_state(len(X), X.device), recipe, spans=spans)
        if X.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        torch.set_num_threads(before)
        return seconds

    return step


def list_thread_counts(available: int) -> list[int]:
    """1, 2, 4, ... below the number of cores, and the number of cores."""
    powers = itertools.takewhile(lambda count: count < available, (2**k for k in itertools.count()))
    return [*powers, available]


def measure_step_times(
    model: RNNModel,
    X: Tensor,
    Y: Tensor,
    optimizer: str,
    recipe: Recipe,
    counts: list[int],
    spans: Spans | None = None,
) -> dict[int, float]:
    """The seconds of a step on X, Y (B, T) with each of these thread counts, without those that are far behind.

    Steps on the first few characters alone find the latter: on a busy machine a whole step may take many seconds.
    """
    glimpse = make_timed_step(model, X[:, :GLIMPSE], Y[:, :GLIMPSE], optimizer, recipe)
    glimpse(counts[0])  # the first step also allocates memory, and may build a kernel
    glimpses = measure_in_turns(glimpse, counts)
    hopeful = [threads for threads, seconds in glimpses.items() if seconds <= FAR_BEHIND * min(glimpses.values())]
    return measure_in_turns(make_timed_step(model, X, Y, optimizer, recipe, spans), hopeful)


def measure_in_turns(step: Callable[[int], float], counts: list[int]) -> dict[int, float]:
    """The seconds of a step with each of these thread counts: the median over the rounds.

    The counts take turns, so that a burst of other load affects all of them. The median is what a busy machine will
    give; the quickest step is what it gave in a lucky moment. The first round is always completed. Where steps are
    short, the step that starts the threads is not counted.
    """
    taken: dict[int, list[float]] = {threads: [] for threads in counts}
    start = time.perf_counter()
    for _ in range(ROUNDS if len(counts) > 1 else 1):
        for threads in counts:
            if (seconds := step(threads)) < SHORT:
                seconds = min(step(threads), step(threads))
            taken[threads].append(seconds)
        if time.perf_counter() - start > BUDGET:
            break
    return {threads: median(seconds) for threads, seconds in taken.items()}


def choose_fewest_threads(times: dict[int, float]) -> int:
    """The fewest threads whose step takes at most WORTH times the quickest: more cores would gain next to nothing."""
    return min(threads for threads, seconds in times.items() if seconds <= WORTH * min(times.values()))
