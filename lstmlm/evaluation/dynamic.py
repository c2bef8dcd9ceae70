"""Dynamic evaluation: a model that goes on learning from a text while it is scored (Krause et al. 2018).

theta = the weights, theta_g = the trained ones, T = num_steps, the length of a segment.

The text is cut into segments. Each is scored first, as in any evaluation; only then do the weights learn from it, by
one step down the gradient of what it cost, g. So every character is scored by weights that know what came before it and
nothing else (prequential). The update is the paper's, with its RMS scaling:

    MS    = mean of g^2 over segments of the training text, at theta_g
    theta = theta + lambda D (theta_g - theta) - eta g / (sqrt(MS) + epsilon)
    D     = min(sqrt(MS) / mean of sqrt(MS), 1 / lambda)

So all weights move at one pace, whatever the size of their gradients, and those that the training text often asked for
are pulled back the more. A number from here may stand beside those of compressors, which learn while they read too; not
beside those of frozen weights.

Krause, Kahembwe, Murray, Renals: Dynamic Evaluation of Neural Sequence Models, ICML 2018, arXiv:1709.07432.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.evaluation.scoring import Score
from lstmlm.layers.contract import Tensors
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel

# Times the mean of sqrt(MS): a character that the training text lacks then does not throw its weights far away
EPSILON = 0.1


@dataclass(frozen=True)
class Statistics:
    """sqrt(MS) by the model's own names of the weights, its mean over the weights, and the T that it was taken at."""

    rms: Tensors
    mean: float
    num_steps: int


def collect_gradient_statistics(model: RNNModel, pieces: Iterable[Tensor], num_steps: int) -> Statistics:
    """Of pieces (n,) of the training text, scored as they will be, in segments of `num_steps`; nothing is learnt."""
    weights, count = model.trained(), 0
    squares = {name: torch.zeros_like(theta) for name, theta in weights.items()}
    for _, gradients in iterate_segments(model, pieces, num_steps):
        count += 1
        for MS, g in zip(squares.values(), gradients, strict=True):
            MS.addcmul_(g, g)
    rms = {name: MS.div_(max(1, count)).sqrt_() for name, MS in squares.items()}
    book = model.to_book(rms).values()  # so that no backend counts a weight that it holds at zero
    mean = sum(tensor.sum().item() for tensor in book) / sum(tensor.numel() for tensor in book)
    return Statistics(rms, mean, num_steps)


def score_adaptive(
    model: RNNModel, pieces: Iterable[Tensor], statistics: Statistics, lr: float, decay: float
) -> Iterator[Tensor]:
    """What each character but the first of each piece costs weights that learn on the way: float64, on the CPU.

    `lr` is eta, `decay` lambda. The state is zero at the start of each piece; what the weights have learnt goes on from
    piece to piece, in their order. At the end, or when the generator is closed, the trained weights are back in the
    model, bit for bit; until then it holds the adapted ones.
    """
    theta = list(model.trained().values())
    theta_g = [own.detach().clone() for own in theta]
    rate = [lr / (rms + EPSILON * statistics.mean) for rms in statistics.rms.values()]
    pull = [(decay / statistics.mean * rms).clamp_(max=1) for rms in statistics.rms.values()]
    try:
        for nats, gradients in iterate_segments(model, pieces, statistics.num_steps):
            yield nats.cpu().double()
            with torch.no_grad():
                for own, trained, back, step, g in zip(theta, theta_g, pull, rate, gradients, strict=True):
                    own.lerp_(trained, back).addcmul_(step, g, value=-1)
    finally:
        with torch.no_grad():
            for own, trained in zip(theta, theta_g, strict=True):
                own.copy_(trained)


def evaluate_adaptive(
    model: RNNModel, pieces: Iterable[Tensor], statistics: Statistics, lr: float, decay: float
) -> Score:
    """The score of pieces, as of `evaluate_pieces`, by weights that learn on the way."""
    nats = score_adaptive(model, pieces, statistics, lr, decay)
    return sum((Score(segment.sum().item(), len(segment)) for segment in nats), Score(0.0, 0))


def try_rates(
    model: RNNModel, pieces: list[Tensor], statistics: Statistics, lr: float, decay: float
) -> dict[tuple[float, float], Score]:
    """Scores of a small grid around `lr` and `decay`, by them.

    The pieces should be text that the model was not trained on and that is not scored afterwards. What it was trained
    on it knows to a degree: less is left to learn there, and settings chosen there keep it too near to where it was.
    """
    grid = itertools.product([lr / 3, lr, lr * 3], [0.0, decay, decay * 10])
    return {at: evaluate_adaptive(model, pieces, statistics, *at) for at in grid}


def find_best(scores: dict[tuple[float, float], Score]) -> tuple[float, float]:
    """The pair with the lowest score; one that diverged is not it."""
    return min(scores, key=lambda at: (math.isnan(scores[at].nats), scores[at].nats))


def iterate_segments(
    model: RNNModel, pieces: Iterable[Tensor], num_steps: int
) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Segments of T characters, one after the other, at the weights that the model has when its turn comes.

    Of each what its characters cost, (T,), and the gradient of their mean, in the order of `model.trained()`. The state
    is carried along a piece, without its history. A shorter last segment weighs as much less.
    """
    theta = list(model.trained().values())
    for piece in pieces:
        state = None
        for start in range(0, len(piece) - 1, num_steps):
            X = piece[start : start + num_steps + 1].to(theta[0].device, torch.int64)
            with evaluation_mode(model):
                logits, state = model(X[None, :-1], state)
            state = tuple(part.detach() for part in state)
            nats = functional.cross_entropy(logits, X[1:], reduction="none")
            yield nats.detach(), torch.autograd.grad(nats.sum() / num_steps, theta)
