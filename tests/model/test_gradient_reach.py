"""Gradients of one character at the states before it: as finite products say, and for every model."""

import pytest
import torch
from torch import nn

from lstmlm import d2l
from lstmlm.model.gradient_reach import measure_reach
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel

V, H = 6, 5
IDS = torch.randint(V, (400,), generator=torch.Generator().manual_seed(1)).tolist()


def test_for_a_linear_state_it_is_the_product_of_its_factors():
    """A state H_t = 0.9 H_{t-1} + X W forgets by 0.9 a step."""

    def keep(inputs, state, params):
        W, W_hq = params
        (H,) = state
        outputs = []
        for X in inputs:
            H = 0.9 * H + X @ W
            outputs.append(H @ W_hq)
        return torch.cat(outputs), (H,)

    def get_params(vocab_size, num_hiddens, device):
        return [torch.randn(vocab_size, num_hiddens), torch.randn(num_hiddens, vocab_size)]

    net = d2l.RNNModelScratch(V, H, "cpu", get_params, d2l.init_rnn_state, keep)
    reach = d2l.measure_reach(net, IDS, "cpu", num_steps=20, places=10)
    torch.testing.assert_close(reach, 0.9 ** torch.arange(20.0)[None])


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_model_has_a_row_for_each_part_of_its_state(cell):
    functions = [getattr(d2l, name.format(cell)) for name in ("get_{}_params", "init_{}_state", "{}")]
    nets = [d2l.RNNModelScratch(V, H, "cpu", *functions), d2l.RNNModel(getattr(nn, cell.upper())(V, H, 2), V)]
    for net in nets:
        reach = d2l.measure_reach(net, IDS, "cpu", num_steps=12, places=5)
        assert reach.shape == (2 if cell == "lstm" else 1, 12) and not reach.requires_grad
        assert torch.equal(reach[:, 0], torch.ones(len(reach))) and (reach[:, 11] < 0.1).all()


def test_it_is_the_mean_of_the_gradients_by_hand():
    net = d2l.RNNModelScratch(V, H, "cpu", d2l.get_lstm_params, d2l.init_lstm_state, d2l.lstm)
    reach = d2l.measure_reach(net, IDS, "cpu", num_steps=5, places=1)
    ids = torch.tensor(IDS)[None]
    with torch.no_grad():
        _, (h, c) = net(ids[:, :100], net.begin_state(1, "cpu"))
    norms = []
    for k in range(5, 0, -1):
        with torch.no_grad():
            state = (h, c) if k == 5 else net(ids[:, 100 : 105 - k], (h, c))[1]
        state = tuple(part.detach().requires_grad_() for part in state)
        logits, _ = net(ids[:, 105 - k : 105], state)
        grads = torch.autograd.grad(nn.functional.cross_entropy(logits[-1:], ids[:, 105]), state)
        norms.insert(0, [grad.norm() for grad in grads])
    norms = torch.tensor(norms)
    torch.testing.assert_close(reach, (norms / norms[0]).T)


@pytest.mark.parametrize("backend, cell", [("scratch", "lstm"), ("fused", "lstm"), ("nn", "gru")])
def test_of_the_programs_own_model_too(backend, cell):
    model = RNNModel(ModelConfig(V, H, 2, cell=cell), backend)
    reach = measure_reach(model, IDS, "cpu", num_steps=8, places=4)
    assert reach.shape == (2 if cell == "lstm" else 1, 8) and (reach[:, 7] < 0.5).all()
    assert all(param.grad is None for param in model.parameters())
