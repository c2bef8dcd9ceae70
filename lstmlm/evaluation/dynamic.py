"""Dynamic evaluation: the model continues to learn from a text while it is scored (Krause et al. 2018).

theta = the weights, theta_g = the trained weights, T = num_steps, the length of a segment, n = characters of a piece.

The text is cut into segments. Each segment is scored first, as in any evaluation; then the weights take one gradient
step on its loss, with gradient g. So every character is scored by weights that have seen only the text before it
(prequential). The update is the paper's, with its RMS scaling:

    MS    = mean of g^2 over segments of the training text, at theta_g
    theta = theta + lambda D (theta_g - theta) - eta g / (sqrt(MS) + epsilon)
    D     = min(sqrt(MS) / mean of sqrt(MS), 1 / lambda)

So all weights move at the same rate, whatever the size of their gradients, and the weights with large gradients on the
training text are pulled back more strongly. A score from here can be compared with those of compressors, which also
learn while they read, but not with those of frozen weights.

Krause, Kahembwe, Murray, Renals: Dynamic Evaluation of Neural Sequence Models, ICML 2018, arXiv:1709.07432.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.evaluation.scoring import Score, make_inputs, sum_scores
from lstmlm.layers.contract import Tensors
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel

# Relative to the mean of sqrt(MS): it bounds the step of weights whose MS is near zero, those of unseen characters
EPSILON = 0.1


@dataclass(frozen=True)
class Statistics:
    """The gradients of the training text at the trained weights."""

    rms: Tensors  # sqrt(MS), by the model's own names of the weights
    mean: float  # of sqrt(MS), over all weights
    num_steps: int  # T, the length of the segments


def collect_gradient_statistics(model: RNNModel, pieces: Iterable[Tensor], num_steps: int) -> Statistics:
    """The statistics of pieces (n,) of the training text, in segments of `num_steps`. The weights do not change."""
    weights, count = model.trained(), 0
    squares = {name: torch.zeros_like(theta) for name, theta in weights.items()}
    for _, gradients in iterate_segments(model, pieces, num_steps):
        count += 1
        for MS, g in zip(squares.values(), gradients, strict=True):
            MS.addcmul_(g, g)
    rms = {name: MS.div_(max(1, count)).sqrt_() for name, MS in squares.items()}
    book = model.to_book(rms).values()  # without weights that a backend keeps at zero
    mean = sum(tensor.sum().item() for tensor in book) / sum(tensor.numel() for tensor in book)
    return Statistics(rms, mean, num_steps)


def score_adaptive(
    model: RNNModel, pieces: Iterable[Tensor], statistics: Statistics, lr: float, decay: float
) -> Iterator[Tensor]:
    """Yield the cost in nats of every character of each piece (n,) but the first, under weights that learn on the way.

    Each tensor is of one segment, (T,) or shorter, float64 and on the CPU. `lr` is eta, `decay` lambda. The state is
    zero at the start of each piece; the adapted weights are kept from piece to piece, in their order. At the end, or
    when the generator is closed, the trained weights are back in the model, bit for bit; until then it holds the
    adapted weights.
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
    """Score the pieces (n,), as `evaluate_pieces` does, under weights that learn on the way."""
    return sum_scores(score_adaptive(model, pieces, statistics, lr, decay))


def try_rates(
    model: RNNModel, pieces: list[Tensor], statistics: Statistics, lr: float, decay: float
) -> dict[tuple[float, float], Score]:
    """The scores of a small grid around `lr` and `decay`, by (lr, decay).

    The pieces (n,) should be text that the model was not trained on and that is not scored afterwards: there is less to
    learn from its training text, and rates chosen there are too small.
    """
    grid = itertools.product([lr / 3, lr, lr * 3], [0.0, decay, decay * 10])
    return {at: evaluate_adaptive(model, pieces, statistics, *at) for at in grid}


def find_best(scores: dict[tuple[float, float], Score]) -> tuple[float, float]:
    """The pair (lr, decay) with the lowest score, never one that diverged while others did not."""
    return min(scores, key=lambda at: (math.isnan(scores[at].nats), scores[at].nats))


def iterate_segments(
    model: RNNModel, pieces: Iterable[Tensor], num_steps: int
) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Yield the segments of T characters in order, each under the weights that the model then has.

    Of each, the cost of its characters in nats, (T,), and the gradient of their mean, in the order of
    `model.trained()`. The state is carried along a piece, without its graph. The gradient of a shorter last segment is
    smaller in proportion. Between segments the model is in the mode that it was in before.
    """
    theta = list(model.trained().values())
    for piece in pieces:
        state, inputs = None, make_inputs(model, piece)
        for start in range(0, len(piece) - 1, num_steps):
            Y = piece[start + 1 : start + num_steps + 1].to(theta[0].device, torch.int64)
            X = inputs[start : start + len(Y)].to(Y)
            with evaluation_mode(model):
                logits, state = model(X[None], state)
            state = tuple(part.detach() for part in state)
            nats = functional.cross_entropy(logits, Y, reduction="none")
            yield nats.detach(), torch.autograd.grad(nats.sum() / num_steps, theta)
