"""The training step: one function for everything that trains."""

import re

import torch
from helpers.command_line import ROOT
from helpers.forms import make_model

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


def test_it_moves_the_weights_against_the_clipped_gradient_and_returns_loss_norm_and_state():
    model = make_model("scratch", torch.float64)
    X, Y = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]])
    before = {name: param.detach().clone() for name, param in model.trained().items()}
    learner, zeros = Learner(model, build_optimizer(model, "sgd", RECIPE.lr, 0.0)), model.begin_state(1, "cpu")
    loss, norm, state = train_step(learner, X, Y, zeros, RECIPE)
    moved = torch.cat([(before[name] - param.detach()).flatten() for name, param in model.trained().items()])
    torch.testing.assert_close(moved.norm(), 0.1 * norm.clamp(max=0.5))
    assert not loss.requires_grad and not any(part.requires_grad for part in state)
    assert [part.shape for part in state] == [zero.shape for zero in zeros]
    again, _, _ = train_step(learner, X, Y, zeros, RECIPE)
    assert again < loss
