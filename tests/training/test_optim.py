"""Schedules run over the progress of the run; clipping bounds the norm and reports it as it was."""

import math

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.training.optim import (
    build_optimizer,
    compute_clip_factor,
    compute_lr_factor,
    compute_norm,
    scale_gradients,
)
from lstmlm.training.plan import Limits


def test_warm_up_rises_and_cosine_falls_to_zero():
    at = lambda progress: compute_lr_factor(progress, "cosine", 0.1)  # noqa: E731
    assert at(0) == 0 and at(0.05) == pytest.approx(0.5) and at(0.1) == 1
    assert at(0.55) == pytest.approx(0.5) and at(1) == at(1.1) == pytest.approx(0)
    assert all(at(k / 100) >= at((k + 1) / 100) for k in range(10, 100))


def test_warm_up_rises_and_linear_falls_straight_to_zero():
    at = lambda progress: compute_lr_factor(progress, "linear", 0.2)  # noqa: E731
    assert at(0) == 0 and at(0.1) == pytest.approx(0.5) and at(0.2) == 1
    assert [at(0.2 + 0.8 * k / 4) for k in range(5)] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert at(1) == at(1.1) == 0


def test_constant_stays():
    assert {compute_lr_factor(k / 10, "constant", 0.0) for k in range(11)} == {1.0}


def parameters(*gradients):
    params = [torch.zeros(len(gradient)) for gradient in gradients]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = torch.tensor(gradient)
    return params


def clip(params, theta):
    """Clip as a step does; the norm before."""
    norm = compute_norm(params)
    scale_gradients(params, compute_clip_factor(norm, theta))
    return norm


def test_clipping_scales_all_gradients_by_one_factor_to_theta():
    params = parameters([3.0, 0.0], [4.0])
    assert clip(params, 1.0) == 5
    torch.testing.assert_close(torch.cat([param.grad for param in params]), torch.tensor([0.6, 0.0, 0.8]))


@pytest.mark.parametrize("theta", [10.0, None])
def test_a_small_norm_or_no_theta_leaves_the_gradients(theta):
    params = parameters([3.0, 0.0], [4.0])
    assert clip(params, theta) == 5
    assert torch.equal(params[0].grad, torch.tensor([3.0, 0.0]))


def test_a_norm_that_is_not_finite_is_reported():
    assert not math.isfinite(clip(parameters([float("nan")]), 1.0))
    assert not math.isfinite(clip(parameters([float("inf")]), None))


@every_form
def test_decay_is_for_every_matrix_and_no_bias_on_every_backend(cell, backend):
    model = make_model(backend, cell=cell, num_layers=2, embedding_dim=3)
    before, optimizer = model.book_weights(), build_optimizer(model, "adamw", 0.1, 0.5)
    for param in model.trained().values():
        param.grad = torch.zeros_like(param)  # so that decay alone moves it
    optimizer.step()
    after = model.book_weights()
    assert {"W_e", "W_hq", "b_q", "layers.1.W_hh" if "layers.1.W_hh" in before else "layers.1.W_hi"} <= before.keys()
    for name, tensor in before.items():
        assert ("W_" in name) == (tensor.dim() == 2)
        torch.testing.assert_close(after[name], tensor * (1 - 0.1 * 0.5) if "W_" in name else tensor)


def test_the_limits_that_are_reached_are_named():
    limits = Limits(max_epochs=10, max_steps=40, max_seconds=100.0, patience=3)
    facts = {"step": 39, "steps_per_epoch": 4, "seconds": 99.9, "evaluations_since_best": 2}
    assert limits.list_reached(**facts) == []
    assert limits.list_reached(**{**facts, "steps_per_epoch": 3}) == ["max_epochs"]
    assert limits.list_reached(**{**facts, "step": 40}) == ["max_epochs", "max_steps"]
    assert limits.list_reached(**{**facts, "seconds": 100.0}) == ["max_seconds"]
    assert limits.list_reached(**{**facts, "evaluations_since_best": 3}) == ["patience"]
    assert Limits(max_seconds=1.0).list_reached(10**9, 1, 0.9, 10**9) == []


def test_progress_is_the_largest_of_the_limits_fractions():
    limits = Limits(max_epochs=10, max_steps=40, max_seconds=100.0)
    assert limits.progress(step=10, steps_per_epoch=8, seconds=0) == 0.25
    assert limits.progress(step=10, steps_per_epoch=2, seconds=0) == 0.5
    assert limits.progress(step=10, steps_per_epoch=8, seconds=90) == 0.9
    assert limits.progress(step=40, steps_per_epoch=8, seconds=0) == 1
    assert (
        limits.count_steps(8) == 40 and limits.count_steps(2) == 20 and Limits(max_seconds=1.0).count_steps(8) is None
    )
