"""train.precision=fp16: the scale of the loss changes no step but those that overflow, and goes through a checkpoint.

float16 computes on a CPU too, slowly; runs are refused there. Nothing here needs a GPU.
"""

import copy
import math
import re

import pytest
import torch
from helpers.command_line import TINY
from helpers.forms import make_model
from torch import nn

from lstmlm.checkpoints import checkpoint
from lstmlm.layers.torch_nn import WIDTH, TorchLSTM, widen_inputs
from lstmlm.runs import prepare
from lstmlm.training import loss_scale
from lstmlm.training.learner import Learner
from lstmlm.training.loss_scale import LossScale, make_loss_scale
from lstmlm.training.meter import Meter
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

CPU = torch.device("cpu")
X = torch.tensor([[0, 1, 2, 3], [3, 4, 5, 6]])
OPTIMIZERS = pytest.mark.parametrize("optimizer", ["sgd", "adamw"])


def make_recipe(precision: str = "float32", micro_batches: int = 1) -> Recipe:
    return Recipe(0.01, "constant", 0.0, grad_clip=0.05, ema=None, micro_batches=micro_batches, precision=precision)


def make_learner(optimizer: str, loss_scale: LossScale | None, **shape) -> Learner:
    model = make_model("nn", torch.float32, **shape)
    return Learner(model, build_optimizer(model, optimizer, 0.01, 0.01), loss_scale=loss_scale)


def make_steps(learner: Learner, recipe: Recipe, count: int) -> list[tuple[float, float]]:
    """(loss, norm) of each step."""
    zeros = learner.model.begin_state(2, "cpu")
    return [tuple(map(float, train_step(learner, X, X.roll(-1, 1), zeros, recipe)[:2])) for _ in range(count)]


def scale_at(scale: float, since: int = 0, skipped: int = 0) -> LossScale:
    made = LossScale(CPU)
    made.restore(torch.tensor([scale, since, skipped], dtype=torch.float64))
    return made


@OPTIMIZERS
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_in_float32_a_scale_changes_no_bit_of_loss_norm_and_weights(monkeypatch, optimizer, micro_batches):
    monkeypatch.setenv("LSTMLM_NATIVE", "0")  # AdamW in PyTorch, as on a GPU
    plain, scaled = make_learner(optimizer, None), make_learner(optimizer, LossScale(CPU))
    recipe = make_recipe(micro_batches=micro_batches)
    assert make_steps(scaled, recipe, 4) == make_steps(plain, recipe, 4)  # the scale is a power of 2
    for name, tensor in plain.to_tensors().items():
        assert torch.equal(scaled.to_tensors()[name], tensor), name
    assert scaled.loss_scale.make_tags() == {"optim/loss_scale": 2.0**16, "optim/skipped": 0.0}


@OPTIMIZERS
def test_a_step_that_overflows_is_skipped_and_counted_and_halves_the_scale(optimizer):
    learner = make_learner(optimizer, scale_at(2.0**30, skipped=3))
    before = copy.deepcopy(learner.to_tensors())
    ((loss, norm),) = make_steps(learner, make_recipe("fp16"), 1)
    assert math.isfinite(loss) and norm == 0.0
    for name, tensor in learner.model.book_weights().items():
        assert torch.equal(tensor, before[name]), name
    assert learner.loss_scale.to_tensor().tolist() == [2.0**29, 0.0, 4.0]
    assert float(learner.to_tensors().get("optimizer.step", torch.zeros(()))) == 0  # AdamW does not count it
    norms = [norm for _, norm in make_steps(learner, make_recipe("fp16"), 20)]
    assert norms[0] == 0.0 and norms[-1] > 0 and learner.loss_scale.make_tags()["optim/skipped"] > 4


def test_a_gradient_that_overflows_without_a_scale_is_a_run_that_diverged(monkeypatch):
    monkeypatch.setattr("lstmlm.training.step.compute_norm", lambda params: torch.tensor(torch.inf))
    meter, learner = Meter(CPU), make_learner("sgd", scale_at(1.0))
    loss, norm, _, _ = train_step(learner, X, X, learner.model.begin_state(2, "cpu"), make_recipe())
    meter.add(1, loss, norm, 8, 1.0)
    with pytest.raises(Exception, match="diverged at step 1"):
        meter.check()


def test_the_scale_doubles_after_two_thousand_steps_without_an_overflow():
    learner = make_learner("adamw", scale_at(4.0, since=1998))
    make_steps(learner, make_recipe(), 1)
    assert learner.loss_scale.to_tensor().tolist() == [4.0, 1999.0, 0.0]
    make_steps(learner, make_recipe(), 1)
    assert learner.loss_scale.to_tensor().tolist() == [8.0, 0.0, 0.0]


@OPTIMIZERS
def test_a_restored_learner_makes_the_same_steps_bit_for_bit(optimizer):
    whole, recipe = make_learner(optimizer, scale_at(2.0**30)), make_recipe("fp16")
    make_steps(whole, recipe, 3)
    saved = checkpoint.Checkpoint(copy.deepcopy(whole.to_tensors()), {})
    restored = make_learner(optimizer, LossScale(CPU), seed=1)
    restored.restore(saved)
    assert make_steps(restored, recipe, 20) == make_steps(whole, recipe, 20)
    assert restored.to_tensors().keys() == whole.to_tensors().keys()
    for name, tensor in whole.to_tensors().items():
        assert torch.equal(restored.to_tensors()[name], tensor), name


@pytest.mark.parametrize("wrong", [[0, 0, 0], [-1, 0, 0], [2, 2000, 0], [2, -1, 0], [2, 0, -1]])
def test_a_scale_that_cannot_be_is_refused(wrong):
    with pytest.raises(RuntimeError, match="the scale of the loss"):
        LossScale(CPU).restore(torch.tensor(wrong, dtype=torch.float64))


def test_only_float16_has_a_scale():
    assert make_loss_scale("float32", CPU) is None is make_loss_scale("bf16", CPU)
    assert isinstance(make_loss_scale("fp16", CPU), LossScale)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_steps_in_float16_are_near_those_in_float32_and_what_comes_of_them_is_float32(cell):
    shape = {"cell": cell, "num_layers": 2, "num_hiddens": WIDTH}
    exact, rough = make_learner("adamw", None, **shape), make_learner("adamw", LossScale(CPU), **shape)
    expected, found = make_steps(exact, make_recipe(), 3), make_steps(rough, make_recipe("fp16"), 3)
    assert found != expected
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=0.01, atol=0)
    assert {tensor.dtype for name, tensor in rough.to_tensors().items() if name[:3] != "run"} == {torch.float32}


def test_inputs_are_widened_with_zeros_to_a_width_that_the_kernels_take_and_the_function_stays():
    rnn, inputs = nn.GRU(7, 5), torch.randn(3, 2, 7)
    weights = dict(rnn.named_parameters())
    wide, wide_weights, wide_inputs = widen_inputs(rnn, weights, inputs)
    assert (wide.input_size, wide.hidden_size, wide_inputs.shape) == (WIDTH, 5, (3, 2, WIDTH))
    Y, H = torch.func.functional_call(wide, wide_weights, wide_inputs)
    torch.testing.assert_close((Y, H), rnn(inputs))
    twice = nn.RNN(2 * WIDTH, 5)
    assert widen_inputs(twice, weights, inputs) == (twice, weights, inputs)


def test_float16_alone_is_computed_with_widened_inputs(monkeypatch):
    widths = []
    monkeypatch.setattr("lstmlm.layers.torch_nn.widen_inputs", lambda rnn, *rest: widths.append(1) or (rnn, *rest))
    for precision in ("float32", "bf16", "fp16"):
        make_steps(make_learner("sgd", None), make_recipe(precision), 1)
    assert len(widths) == 1


def test_one_layer_after_another_with_widened_inputs_is_the_lstm_of_several_layers():
    whole = nn.LSTM(7, WIDTH, 2)
    layers = [TorchLSTM(7, WIDTH), TorchLSTM(WIDTH, WIDTH)]
    for k, layer in enumerate(layers):
        parts = {name: whole.get_parameter(f"{name}_l{k}") for name in ("weight_ih", "weight_hh", "bias_ih")}
        layer.load_state_dict({f"rnn.{name}_l0": tensor for name, tensor in parts.items()}, strict=False)
    nn.init.zeros_(whole.bias_hh_l0), nn.init.zeros_(whole.bias_hh_l1)
    Y, zeros = X.T, (torch.zeros(2, WIDTH), torch.zeros(2, WIDTH))
    with torch.autocast("cpu", torch.float16):
        for layer in layers:
            Y, (H, C) = layer(Y, zeros)
    expected, (last_H, last_C) = whole.half()(nn.functional.one_hot(X.T, 7).half())
    for found, wanted in ((Y, expected), (H, last_H[1]), (C, last_C[1])):
        torch.testing.assert_close(found, wanted.float(), rtol=2e-3, atol=1e-4)
    assert Y.dtype == torch.float32


def test_a_run_of_float16_resumes_exactly_and_records_scale_and_skipped_steps(train, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "check_precision", lambda config, device: None)
    monkeypatch.setattr(loss_scale, "FIRST", 2.0**23)  # at which the first gradients overflow
    words = [*TINY, "train.precision=fp16", "device=cpu", "threads=1", "train.schedule=constant", "train.warmup=0"]
    code, out, _ = train(*words, "train.max_steps=6", "hydra.run.dir=whole")
    told = re.search(r"fp16: ([1-5]) of 6 steps were skipped, the scale is (\d+)", " ".join(out.split()))
    assert code == 0 and told
    assert train(*words, "train.max_steps=4", "hydra.run.dir=part")[0] == 0
    assert train("resume=part", "train.max_steps=6")[0] == 0
    whole, part = (checkpoint.load_checkpoint(tmp_path / name / "last.safetensors") for name in ("whole", "part"))
    for name, tensor in whole.tensors.items():
        assert torch.equal(part.tensors[name], tensor), name
    rows = (tmp_path / "whole" / "metrics.jsonl").read_text()
    skipped, scale = told.groups()
    assert f'"optim/loss_scale": {scale}.0' in rows and f'"optim/skipped": {skipped}.0' in rows
