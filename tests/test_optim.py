"""Schedules run over the progress of the run; clipping bounds the norm and reports it as it was."""

import math

import pytest
import torch
from conftest import make_model

from lstmlm.optim import build_optimizer, grad_clipping, lr_factor
from lstmlm.plan import Limits


def test_warm_up_rises_and_cosine_falls_to_zero():
    at = lambda progress: lr_factor(progress, "cosine", 0.1)  # noqa: E731
    assert at(0) == 0 and at(0.05) == pytest.approx(0.5) and at(0.1) == 1
    assert at(0.55) == pytest.approx(0.5) and at(1) == pytest.approx(0)
    assert all(at(k / 100) >= at((k + 1) / 100) for k in range(10, 100))


def test_constant_stays():
    assert {lr_factor(k / 10, "constant", 0.0) for k in range(11)} == {1.0}


def parameters(*gradients):
    params = [torch.zeros(len(gradient)) for gradient in gradients]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = torch.tensor(gradient)
    return params


def test_clipping_scales_all_gradients_by_one_factor_to_theta():
    params = parameters([3.0, 0.0], [4.0])
    assert grad_clipping(params, 1.0) == 5
    torch.testing.assert_close(torch.cat([param.grad for param in params]), torch.tensor([0.6, 0.0, 0.8]))


@pytest.mark.parametrize("theta", [10.0, None])
def test_a_small_norm_or_no_theta_leaves_the_gradients(theta):
    params = parameters([3.0, 0.0], [4.0])
    assert grad_clipping(params, theta) == 5
    assert torch.equal(params[0].grad, torch.tensor([3.0, 0.0]))


def test_a_norm_that_is_not_finite_is_reported():
    assert not math.isfinite(grad_clipping(parameters([float("nan")]), 1.0))
    assert not math.isfinite(grad_clipping(parameters([float("inf")]), None))


def test_decay_is_for_matrices_not_biases():
    decayed, plain = build_optimizer(make_model("nn"), "adamw", 0.1, 0.05).param_groups
    assert decayed["weight_decay"] == 0.05 and all(param.dim() == 2 for param in decayed["params"])
    assert plain["weight_decay"] == 0 and all(param.dim() == 1 for param in plain["params"])


def test_progress_is_the_largest_of_the_limits_fractions():
    limits = Limits(max_epochs=10, max_steps=40, max_seconds=100.0)
    assert limits.progress(step=10, steps_per_epoch=8, seconds=0) == 0.25
    assert limits.progress(step=10, steps_per_epoch=2, seconds=0) == 0.5
    assert limits.progress(step=10, steps_per_epoch=8, seconds=90) == 0.9
    assert limits.progress(step=40, steps_per_epoch=8, seconds=0) == 1
    assert limits.steps(8) == 40 and limits.steps(2) == 20 and Limits(max_seconds=1.0).steps(8) is None
