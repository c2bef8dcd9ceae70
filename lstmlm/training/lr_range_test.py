"""The learning-rate range test (Smith 2017): the loss while the rate rises exponentially, and the rate it suggests.

B = batch_size, T = num_steps. Losses are nats per character of the training text.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from lstmlm.model.rnn_model import RNNModel, State
from lstmlm.system.errors import BadInput
from lstmlm.system.plotting import import_pyplot, save_figure
from lstmlm.text.batches import Streams
from lstmlm.training.learner import Learner
from lstmlm.training.loss_scale import make_loss_scale
from lstmlm.training.optim import set_lr
from lstmlm.training.plan import Recipe
from lstmlm.training.stream_step import train_on_streams

LOWEST, HIGHEST = 1e-6, 100.0  # from below any optimizer's rates to above the book's 1.0 for SGD
BLOWN = 2.0  # the test ends when the loss is so many times the lowest
FALL = 0.05  # nats: a smaller fall of the loss is noise


@dataclass(frozen=True)
class RangeTest:
    """The rate of each step, and the loss before the step, smoothed over the neighbouring steps."""

    rates: list[float]
    losses: list[float]

    @property
    def lowest(self) -> int:
        """The step where the loss was lowest: higher rates are too high."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def steepest(self) -> int:
        """The step, up to `lowest`, where the loss fell fastest."""
        falls = [after - before for before, after in itertools.pairwise(self.losses[: self.lowest + 1])]
        return 1 + min(range(len(falls)), key=falls.__getitem__)

    @property
    def proposal(self) -> float:
        """The geometric mean of the rates at `steepest` and `lowest`, to one digit.

        The rate of the steepest fall, the usual choice, is ten times too low for AdamW: the loss falls fastest while
        the frequencies of the characters are learned, which is easy. A tenth of the rate at the lowest loss is too low
        for SGD, whose loss falls within one decade. (Measured: benchmarks/LOG.md.)
        """
        return float(f"{math.sqrt(self.rates[self.steepest] * self.rates[self.lowest]):.1g}")


def run_range_test(
    model: RNNModel,
    optimizer: torch.optim.Optimizer,
    streams: Streams,
    generator: torch.Generator,
    recipe: Recipe,
    max_steps: int,
) -> RangeTest:
    """Train `model` for up to `max_steps` steps of the recipe, but with a rate that rises from step to step.

    The model's weights are of no use afterwards. `generator` draws the order of the data. BadInput if the loss falls at
    no rate.
    """
    rates = [LOWEST * (HIGHEST / LOWEST) ** (k / (max_steps - 1)) for k in range(max_steps)]
    learner = Learner(model, optimizer, loss_scale=make_loss_scale(recipe.precision, streams.device))
    width, lowest = max_steps // 20, math.inf
    losses: list[float] = []
    state: State | None = None
    for rate, (X, Y, is_first) in zip(rates, iterate_batches(streams, generator), strict=False):
        set_lr(optimizer, rate)
        (loss, *_), state = train_on_streams(learner, streams, None if is_first else state, X, Y, recipe)
        if not math.isfinite(loss.item()):
            break
        losses.append(loss.item())
        recent = fmean(losses[-width:])
        lowest = min(lowest, recent)
        if recent > BLOWN * lowest:
            break
    test = RangeTest(rates[: len(losses)], smooth(losses, width))
    if not losses or test.losses[0] - min(test.losses) < FALL:
        raise BadInput(f"lr_find: the loss falls at no rate from {LOWEST:g} to {HIGHEST:g}: look at the text")
    return test


def smooth(losses: list[float], width: int) -> list[float]:
    """Each loss as the mean of about `width` losses centred on it, so that no fall moves to a later rate."""
    return [fmean(losses[max(0, k - width // 2) : k + width // 2 + 1]) for k in range(len(losses))]


def iterate_batches(streams: Streams, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """(X, Y, whether they are the first of an epoch), X and Y (B, T), epoch after epoch without end."""
    while True:
        for k, (X, Y) in enumerate(streams.epoch(generator)):
            yield X, Y, k == 0


def draw_range_test(test: RangeTest, path: Path) -> None:
    """The loss against the rate, to a PNG."""
    plt = import_pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(test.rates, test.losses, color="black")
    marks = {"falls fastest": (test.rates[test.steepest], ":"), "lowest": (test.rates[test.lowest], "--")}
    for name, (rate, line) in (marks | {"proposed": (test.proposal, "-")}).items():
        axes.axvline(rate, linestyle=line, color="tab:blue", label=f"{name}: {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, nats per character, smoothed")
    axes.legend()
    save_figure(figure, path)
    plt.close(figure)
