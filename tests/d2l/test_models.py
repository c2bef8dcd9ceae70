"""The two models: shapes, order of the rows, zero states."""

import pytest
import torch
from torch import nn

from lstmlm import d2l

V, H, B, T = 7, 5, 3, 4
CELLS = ["rnn", "gru", "lstm"]


def make_scratch(cell):
    functions = (getattr(d2l, name.format(cell)) for name in ("get_{}_params", "init_{}_state", "{}"))
    return d2l.RNNModelScratch(V, H, "cpu", *functions)


@pytest.mark.parametrize("cell", CELLS)
def test_the_scratch_model_applies_the_function_to_one_hot_rows_time_major(cell):
    net, X = make_scratch(cell), torch.randint(V, (B, T))
    state = net.begin_state(B, "cpu")
    assert len(state) == (2 if cell == "lstm" else 1)
    assert all(part.shape == (B, H) and not part.any() for part in state)
    logits, after = net(X, state)
    expected, expected_state = getattr(d2l, cell)(torch.eye(V)[X.T], state, net.params)
    assert logits.shape == (T * B, V) and torch.equal(logits, expected)
    assert all(torch.equal(a, b) for a, b in zip(after, expected_state, strict=True))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_concise_model_applies_the_layer_and_a_linear_output(kind, layers, bidirectional):
    layer = kind(V, H, num_layers=layers, bidirectional=bidirectional)
    net, X = d2l.RNNModel(layer, V), torch.randint(V, (B, T))
    state = net.begin_state(batch_size=B, device="cpu")
    parts = state if isinstance(state, tuple) else (state,)
    assert isinstance(state, tuple) == (kind is nn.LSTM) and len(parts) == 1 + (kind is nn.LSTM)
    directions = 2 if bidirectional else 1
    assert all(part.shape == (layers * directions, B, H) and not part.any() for part in parts)
    logits, _ = net(X, state)
    Y, _ = layer(torch.eye(V)[X.T], state)
    assert net.linear.in_features == directions * H and logits.shape == (T * B, V)
    torch.testing.assert_close(logits[B : 2 * B], net.linear(Y[1]))


def test_the_books_example_has_its_printed_shapes():
    """d2l 0.17, section 8.5: two rows of five characters, 28 symbols, 512 units."""
    net = d2l.RNNModelScratch(28, 512, d2l.try_gpu(), d2l.get_rnn_params, d2l.init_rnn_state, d2l.rnn)
    state = net.begin_state(2, d2l.try_gpu())
    Y, new_state = net(torch.arange(10).reshape((2, 5)).to(d2l.try_gpu()), state)
    assert (Y.shape, len(new_state), new_state[0].shape) == (torch.Size([10, 28]), 1, torch.Size([2, 512]))


@pytest.mark.parametrize("cell", CELLS)
def test_models_of_float64_weights_compute_in_float64(cell):
    net = make_scratch(cell)
    net.params = [param.detach().double() for param in net.params]
    module = d2l.RNNModel(getattr(nn, cell.upper())(V, H), V).double()
    for model in (net, module):
        logits, _ = model(torch.zeros(B, T, dtype=torch.int64), model.begin_state(batch_size=B, device="cpu"))
        assert logits.dtype == torch.float64
