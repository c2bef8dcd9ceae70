"""A step of AdamW in C is the clipped step of PyTorch's, and leaves its state where PyTorch has it."""

import copy

import pytest
import torch
from helpers.forms import make_model

from lstmlm.training import adamw_native
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer, compute_clip_factor, scale_gradients

SHAPES = [(65, 1024), (1024,), (3,), (7, 5), (1,), (31,)]  # of a thread's part and more; of less than a vector


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.delenv("LSTMLM_NATIVE", raising=False)
    if adamw_native.find_kernel() is None:
        pytest.skip("there is no C compiler")


class Shapes(torch.nn.Module):
    """Parameters of these shapes, as build_optimizer takes them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.all = torch.nn.ParameterList(torch.randn(shape, generator=generator) for shape in SHAPES)

    def trained(self):
        return dict(self.named_parameters())


def learn(weight_decay: float, factors: list[float | None], in_c: bool) -> tuple[Shapes, torch.optim.Optimizer]:
    model = Shapes()
    optimizer, generator = build_optimizer(model, "adamw", 3e-3, weight_decay), torch.Generator().manual_seed(1)
    for factor in factors:
        scale = None if factor is None else torch.tensor(factor)
        for param in model.parameters():
            param.grad = 0.01 * torch.randn(param.shape, generator=generator)
        if in_c:
            assert adamw_native.can_step(optimizer)
            adamw_native.make_step(optimizer, scale)
        else:
            scale_gradients(list(model.parameters()), scale)
            optimizer.step()
    return model, optimizer


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_ten_steps_are_those_of_pytorch(weight_decay, threads):
    """To rounding; on the machine of tests/fixtures/recorded.json bit for bit, which test_recorded.py holds."""
    factors = [None, 1.0, 0.3, 0.7, 1e-3] * 2
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        (ours, own), (theirs, other) = (learn(weight_decay, factors, in_c) for in_c in (True, False))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            torch.testing.assert_close(own.state[a][moment], other.state[b][moment], rtol=1e-5, atol=1e-9)


@pytest.mark.usefixtures("kernel")
def test_steps_in_c_and_in_pytorch_go_on_from_each_others_state():
    model, optimizer = learn(0.1, [0.5, 0.5], in_c=True)
    twin = copy.deepcopy(model)
    twins = build_optimizer(twin, "adamw", 3e-3, 0.1)
    twins.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (model, twin):
        for k, param in enumerate(each.parameters()):
            param.grad = torch.full_like(param, 0.01 * (k + 1))
    adamw_native.make_step(optimizer, None)
    twins.step()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("kernel")
def test_a_gradient_that_is_no_number_is_seen_in_the_weights():
    model, optimizer = Shapes(), None
    optimizer = build_optimizer(model, "adamw", 1e-3, 0.0)
    for param in model.parameters():
        param.grad = torch.ones_like(param)
    adamw_native.make_step(optimizer, compute_clip_factor(torch.tensor(float("nan")), 1.0))
    assert all(param.isnan().all() for param in model.parameters())


@pytest.mark.usefixtures("kernel")
def test_the_kernel_is_for_adamw_in_float32_alone(monkeypatch):
    cases = [("adamw", torch.float32, True), ("adamw", torch.float64, False), ("sgd", torch.float32, False)]
    for name, dtype, expected in cases:
        model = make_model("nn", dtype)
        learner = Learner(model, build_optimizer(model, name, 1e-3, 0.0))
        assert adamw_native.can_step(learner.optimizer) is expected
    monkeypatch.setenv("LSTMLM_NATIVE", "0")
    assert not adamw_native.can_step(build_optimizer(make_model("nn", torch.float32), "adamw", 1e-3, 0.0))
