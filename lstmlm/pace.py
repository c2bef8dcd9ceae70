"""How long a training step takes on this machine: a few real steps, of a model that is then thrown away."""

import time

import torch
from torch import Tensor

from lstmlm.gradient import back_propagate
from lstmlm.model import RNNModel
from lstmlm.optim import build_optimizer, grad_clipping
from lstmlm.plan import Recipe


def seconds_per_step(
    model: RNNModel, X: Tensor, Y: Tensor, optimizer: str, recipe: Recipe, threads: int, count: int = 3
) -> float:
    """The quickest of `count` steps on X, Y (B, T) after one that is not timed. The model's weights are changed."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    steps = build_optimizer(model.train(), optimizer, 1e-3, 0.0)
    seconds = []
    for _ in range(1 + count):
        start = time.perf_counter()
        steps.zero_grad()
        back_propagate(model, X, Y, model.begin_state(len(X), X.device), recipe.micro_batches, recipe.precision)
        grad_clipping(list(model.trained().values()), 1.0)
        steps.step()
        if X.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return min(seconds[1:])
