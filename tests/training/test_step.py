"""The training step: one function for everything that trains."""

import copy
import math
import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as functional
from helpers.command_line import ROOT
from helpers.forms import make_model

from lstmlm.layers.registry import BACKENDS
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

RECIPE = Recipe(0.1, "constant", 0.0, grad_clip=0.5, ema=None, micro_batches=1, precision="float32")


def test_the_step_is_written_once():
    steps = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "lstmlm").rglob("*.py")
        if path.parent.name != "d2l"  # the book has its own, written out
        and re.search(r"\.zero_grad\(|optimizer\.step\(\)", path.read_text(encoding="utf-8"))
    }
    assert steps == {"lstmlm/training/step.py"}


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_20_clipped_steps_have_the_losses_of_the_books_clipping(backend):
    """g <- min(1, theta / |g|) g and param <- param - lr g, written out; in some steps clipping acts, in others not."""
    theta, T, steps = 0.24, 5, 20
    model = make_model(backend, torch.float64)
    book, ids = copy.deepcopy(model), torch.randint(7, (3, steps * T + 1))
    recipe = replace(RECIPE, grad_clip=theta)
    learner = Learner(model, build_optimizer(model, "sgd", recipe.lr, 0.0))
    state, carried, norms = model.begin_state(3, "cpu"), book.begin_state(3, "cpu"), []
    params = list(book.trained().values())
    for k in range(steps):
        X, Y = ids[:, k * T : (k + 1) * T], ids[:, k * T + 1 : (k + 1) * T + 1]
        loss, _, state, _ = train_step(learner, X, Y, state, recipe)
        logits, carried = book(X, tuple(part.detach() for part in carried))
        expected = functional.cross_entropy(logits, Y.T.flatten())
        grads = torch.autograd.grad(expected, params)
        norms.append(math.sqrt(sum(float(g.square().sum()) for g in grads)))
        with torch.no_grad():
            for param, g in zip(params, grads, strict=True):
                param -= recipe.lr * min(1.0, theta / norms[-1]) * g
        assert abs(loss.item() - expected.item()) < 1e-12
    assert min(norms) < theta < max(norms)


def test_it_moves_the_weights_against_the_clipped_gradient_and_returns_loss_norm_and_state():
    model = make_model("scratch", torch.float64)
    X, Y = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]])
    before = {name: param.detach().clone() for name, param in model.trained().items()}
    learner, zeros = Learner(model, build_optimizer(model, "sgd", RECIPE.lr, 0.0)), model.begin_state(1, "cpu")
    loss, norm, state, _ = train_step(learner, X, Y, zeros, RECIPE)
    moved = torch.cat([(before[name] - param.detach()).flatten() for name, param in model.trained().items()])
    torch.testing.assert_close(moved.norm(), 0.1 * norm.clamp(max=0.5))
    assert not loss.requires_grad and not any(part.requires_grad for part in state)
    assert [part.shape for part in state] == [zero.shape for zero in zeros]
    again = train_step(learner, X, Y, zeros, RECIPE).loss
    assert again < loss
