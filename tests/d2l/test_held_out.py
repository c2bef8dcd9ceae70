"""Held-out text is one stream with the state carried, each character but the first scored once."""

import math

import pytest
import torch
from torch import nn

from lstmlm import d2l

V, H = 6, 5


def make_nets():
    yield d2l.RNNModelScratch(V, H, "cpu", d2l.get_gru_params, d2l.init_gru_state, d2l.gru)
    yield d2l.RNNModel(nn.LSTM(V, H), V)


def test_it_is_the_exponential_of_the_mean_loss_however_many_are_read_at_a_time():
    ids = torch.randint(V, (50,))
    for net in make_nets():
        logits, _ = net(ids[None, :-1], net.begin_state(batch_size=1, device="cpu"))
        expected = math.exp(nn.functional.cross_entropy(logits, ids[1:]).item())
        for num_steps in (1, 7, 49, 1000):
            assert d2l.evaluate_perplexity(net, ids.tolist(), "cpu", num_steps) == pytest.approx(expected, rel=1e-6)


def test_it_changes_no_weight_leaves_no_gradient_and_drops_nothing():
    net = d2l.RNNModel(nn.LSTM(V, H, num_layers=2, dropout=0.9), V)
    before = [param.clone() for param in net.parameters()]
    ids = torch.randint(V, (50,)).tolist()
    assert len({d2l.evaluate_perplexity(net, ids, "cpu") for _ in range(3)}) == 1
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert net.training and all(param.grad is None for param in net.parameters())
