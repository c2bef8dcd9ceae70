"""How long a training step takes on this machine, and with how many threads it takes least: a few real steps, of a
model that is then thrown away.

B = batch_size, T = num_steps.
"""

import itertools
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from lstmlm.model.rnn_model import RNNModel
from lstmlm.training.backprop import back_propagate
from lstmlm.training.optim import build_optimizer, grad_clipping
from lstmlm.training.plan import Recipe

ROUNDS, BUDGET, SHORT = 5, 1.0, 0.1  # turns of each number of threads; seconds for all turns, for one short step
GLIMPSE, FAR_BEHIND = 8, 2.0  # time steps that show which numbers are hopeless: times as slow as the best
WORTH = 1.1  # a step with fewer threads may take so many times the quickest


def training_step(model: RNNModel, X: Tensor, Y: Tensor, optimizer: str, recipe: Recipe) -> Callable[[int], float]:
    """A function that makes a step on X, Y (B, T) with so many threads and returns the seconds that it took.

    The model's weights are changed. Nothing is drawn but from the model's own generator.
    """
    steps = build_optimizer(model.train(), optimizer, 1e-3, 0.0)
    params = list(model.trained().values())

    def step(threads: int) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        start = time.perf_counter()
        steps.zero_grad()
        back_propagate(model, X, Y, model.begin_state(len(X), X.device), recipe.micro_batches, recipe.precision)
        grad_clipping(params, 1.0)
        steps.step()
        if X.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        torch.set_num_threads(before)
        return seconds

    return step


def list_thread_counts(available: int) -> list[int]:
    """1, 2, 4, ... below the number of cores, and that number."""
    powers = itertools.takewhile(lambda count: count < available, (2**k for k in itertools.count()))
    return [*powers, available]


def measure_step_times(
    model: RNNModel, X: Tensor, Y: Tensor, optimizer: str, recipe: Recipe, counts: list[int]
) -> dict[int, float]:
    """The seconds of a step on X, Y (B, T) with each of these numbers of threads, those that are far behind left out.

    Those are found by steps on the first few characters alone: on a busy machine a whole one may take many seconds.
    """
    glimpse = training_step(model, X[:, :GLIMPSE], Y[:, :GLIMPSE], optimizer, recipe)
    glimpse(counts[0])  # the first of all also finds its memory, and may have a kernel built
    glimpses = measure_in_turns(glimpse, counts)
    hopeful = [threads for threads, seconds in glimpses.items() if seconds <= FAR_BEHIND * min(glimpses.values())]
    return measure_in_turns(training_step(model, X, Y, optimizer, recipe), hopeful)


def measure_in_turns(step: Callable[[int], float], counts: list[int]) -> dict[int, float]:
    """The seconds of a step with each of these numbers of threads: the median over the rounds.

    The numbers take turns, so that a burst of other load meets all alike, and the median is what a busy machine will
    give, where the quickest step is what it gave in a lucky moment. No round begins after BUDGET seconds; each number
    has had one turn then. Of a turn, the step in which the threads are started is not counted, if steps are short.
    """
    taken, start = {threads: [] for threads in counts}, time.perf_counter()
    for _ in range(ROUNDS if len(counts) > 1 else 1):
        for threads in counts:
            if (seconds := step(threads)) < SHORT:
                seconds = min(step(threads), step(threads))
            taken[threads].append(seconds)
        if time.perf_counter() - start > BUDGET:
            break
    return {threads: median(seconds) for threads, seconds in taken.items()}


def choose_fewest_threads(times: dict[int, float]) -> int:
    """The fewest threads whose step takes no more than WORTH times the quickest: a core for less would be wasted."""
    return min(threads for threads, seconds in times.items() if seconds <= WORTH * min(times.values()))
