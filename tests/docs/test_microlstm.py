"""docs/microlstm.py: equations and gradients are those of lstmlm.scratch, it learns, and it stays short."""

import ast
import inspect
import random

import pytest
import torch
import torch.nn.functional as functional
from helpers.command_line import ROOT
from helpers.scripts import load_script

from lstmlm.scratch.lstm import init_lstm_state, lstm, lstm_layer

PATH = ROOT / "docs" / "microlstm.py"
V, H = 7, 5


@pytest.fixture(scope="module")
def micro():
    return load_script("docs/microlstm.py")


def random_params(micro, rng):
    """Parameters as microlstm draws them, but with large weights and biases that are not zero."""
    params = micro.get_lstm_params(V, H, 0.7, rng)
    for (bias,) in (*params[2:12:3], params[13]):
        bias[:] = [rng.gauss(0, 0.5) for _ in bias]
    return params


def to_torch(params):
    """The 14 tensors of the book in float64; a bias is a vector there, a matrix of one row in microlstm."""
    tensors = [torch.tensor(matrix, dtype=torch.float64) for matrix in params]
    return [(t[0] if len(t) == 1 else t).requires_grad_() for t in tensors]


def test_loss_and_gradients_equal_those_of_autograd_through_the_scratch_lstm(micro):
    rng = random.Random(1)
    params = random_params(micro, rng)
    ids = [rng.randrange(V) for _ in range(12)]
    loss, steps = micro.forward(ids, params)
    grads = micro.backward(steps, params)

    tensors = to_torch(params)
    inputs = functional.one_hot(torch.tensor(ids[:-1]), V)[:, None].double()  # (T, 1, V)
    state = tuple(part.double() for part in init_lstm_state(1, H, "cpu"))
    logits, _ = lstm(inputs, state, tensors)
    expected = functional.cross_entropy(logits, torch.tensor(ids[1:]))
    expected.backward()

    assert loss == pytest.approx(expected.item(), abs=1e-12)
    for grad, tensor in zip(grads, tensors, strict=True):
        own = torch.tensor(grad, dtype=torch.float64).reshape(tensor.shape)
        assert own.abs().max() > 1e-4  # a gradient of zeros would prove nothing
        torch.testing.assert_close(own, tensor.grad, atol=1e-10, rtol=0)


def test_the_shapes_and_their_order_are_the_book_s(micro):
    shapes = [(len(matrix), len(matrix[0])) for matrix in micro.get_lstm_params(V, H, 0.1, random.Random(0))]
    assert shapes == [(V, H), (H, H), (1, H)] * 4 + [(H, V), (1, V)]


def test_the_six_equations_are_the_lines_of_the_scratch_layer(micro):
    def equations(function, remove=""):
        lines = [line.split("#")[0].strip().replace(remove, "") for line in inspect.getsource(function).splitlines()]
        return [line for line in lines if line.startswith(("I = ", "F = ", "O = ", "C_tilda = ", "C = ", "H = "))]

    assert equations(micro.lstm_step) == equations(lstm_layer, "torch.")
    assert len(equations(micro.lstm_step)) == 6


@pytest.mark.parametrize("theta", [0.5, 1e6], ids=["clipped", "not clipped"])
def test_sgd_steps_along_the_gradient_clipped_to_theta(micro, theta):
    params, grads = (random_params(micro, random.Random(seed)) for seed in (2, 3))
    before, gradient = (torch.tensor([v for m in p for row in m for v in row]).double() for p in (params, grads))
    micro.sgd(params, grads, 0.1, theta)
    after = torch.tensor([v for m in params for row in m for v in row]).double()
    expected = before - 0.1 * gradient * min(1.0, theta / gradient.norm().item())
    assert gradient.norm() > 0.5
    torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)


def test_a_few_steps_lower_the_loss(micro):
    params = micro.get_lstm_params(V, H, 0.2, random.Random(0))
    ids = [0, 3, 1, 4, 1, 5, 0]
    losses = []
    for _ in range(100):
        loss, steps = micro.forward(ids, params)
        losses.append(loss)
        micro.sgd(params, micro.backward(steps, params), 0.5, 1.0)
    assert losses[-1] < 0.5 * losses[0]


def test_samples_are_names_of_known_characters_and_follow_the_seed(micro):
    chars = ["\n", *"abcdef"]
    params = random_params(micro, random.Random(4))
    names = [micro.sample(params, chars, random.Random(seed)) for seed in range(50)]
    assert names == [micro.sample(params, chars, random.Random(seed)) for seed in range(50)]
    assert len(set(names)) > 20
    assert all(set(name) <= set("abcdef") and len(name) < 20 for name in names)


def test_a_sample_of_low_temperature_takes_the_likeliest_character(micro):
    params = random_params(micro, random.Random(5))
    chars = ["\n", *"abcdef"]
    H_, C, x, likeliest = micro.Row([0.0] * H), micro.Row([0.0] * H), 0, ""
    while len(likeliest) < 19:
        *_, C, H_, P = micro.lstm_step(x, H_, C, params)
        x = P.index(max(P))
        if x == 0:
            break
        likeliest += chars[x]
    assert micro.sample(params, chars, random.Random(0), 0.001) == likeliest


def test_main_prints_losses_and_samples(micro, capsys):
    micro.main(num_hiddens=4, num_steps=200)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("step  200  loss 2.") or line.startswith("step  200  loss 3.")
    assert "on held-out names" in line


def test_the_file_has_at_most_150_lines_and_imports_only_math_and_random():
    source = PATH.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 150
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import math", "import random"]
