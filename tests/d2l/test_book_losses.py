"""From the same tensors and batches, 20 steps of SGD give the losses of the book's formulas, written out here.

The formulas are those of the book for one character and one layer; gradients come from automatic differentiation of
them, clipping and SGD are written out too: g <- min(1, 1 / |g|) g, param <- param - g.
"""

import math

import pytest
import torch
from torch import nn

from lstmlm import d2l

V, H, B, T, STEPS = 11, 6, 3, 7, 20
SCALE = {"rnn": 0.6, "gru": 2.0, "lstm": 3.0}  # of the first weights: some gradients are clipped, others are not
sigmoid, tanh = torch.sigmoid, torch.tanh


def rnn_step(X, state, p):
    W_xh, W_hh, b_h = p
    (H,) = state
    H = tanh(X @ W_xh + H @ W_hh + b_h)
    return H, (H,)


def gru_step(X, state, p):
    W_xz, W_hz, b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h = p
    (H,) = state
    Z = sigmoid(X @ W_xz + H @ W_hz + b_z)
    R = sigmoid(X @ W_xr + H @ W_hr + b_r)
    H_tilda = tanh(X @ W_xh + (R * H) @ W_hh + b_h)
    H = Z * H + (1 - Z) * H_tilda
    return H, (H,)


def lstm_step(X, state, p):
    W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o, W_xc, W_hc, b_c = p
    H, C = state
    I = sigmoid(X @ W_xi + H @ W_hi + b_i)
    F = sigmoid(X @ W_xf + H @ W_hf + b_f)
    O = sigmoid(X @ W_xo + H @ W_ho + b_o)
    C_tilda = tanh(X @ W_xc + H @ W_hc + b_c)
    C = F * C + I * C_tilda
    H = O * tanh(C)
    return H, (H, C)


# The layers of torch.nn, whose weights are stacked, transposed, and have two biases (PyTorch's documentation)


def nn_rnn_step(X, state, p):
    W_ih, W_hh, b_ih, b_hh = p
    (H,) = state
    H = tanh(X @ W_ih.T + b_ih + H @ W_hh.T + b_hh)
    return H, (H,)


def nn_gru_step(X, state, p):
    W_ih, W_hh, b_ih, b_hh = p
    (H,) = state
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (X @ W_ih.T + b_ih).chunk(3, 1), (H @ W_hh.T + b_hh).chunk(3, 1)
    R, Z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    H = Z * H + (1 - Z) * tanh(n_x + R * n_h)
    return H, (H,)


def nn_lstm_step(X, state, p):
    W_ih, W_hh, b_ih, b_hh = p
    H, C = state
    i, f, g, o = (X @ W_ih.T + b_ih + H @ W_hh.T + b_hh).chunk(4, 1)
    C = sigmoid(f) * C + sigmoid(i) * tanh(g)
    H = sigmoid(o) * tanh(C)
    return H, (H, C)


def follow_formulas(step, head, num_states, params, batches):
    """The 20 losses, and the norms of the gradients before clipping; `head` maps (H, the rest of params) to logits."""
    params = [param.detach().clone().requires_grad_() for param in params]
    state = tuple(torch.zeros(B, H, dtype=torch.float64) for _ in range(num_states))
    losses, norms = [], []
    for X, Y in batches:
        total = 0.0
        for t in range(T):
            rows = torch.zeros(B, V, dtype=torch.float64)
            rows[range(B), X[:, t]] = 1
            Q, state = step(rows, state, params[:-2])
            logits = head(Q, *params[-2:])
            logs = logits - logits.exp().sum(1, keepdim=True).log()
            total = total - logs[range(B), Y[:, t]].sum()
        loss = total / (B * T)
        grads = torch.autograd.grad(loss, params)
        norm = math.sqrt(sum(float((grad * grad).sum()) for grad in grads))
        with torch.no_grad():
            for param, grad in zip(params, grads, strict=True):
                param -= min(1.0, 1.0 / norm) * grad
        state = tuple(part.detach() for part in state)
        losses.append(loss.item())
        norms.append(norm)
    return losses, norms


def follow_d2l(net, batches, updater):
    """The losses of an epoch of these batches; its perplexity is that of their mean."""
    losses = []

    def loss(logits, Y):
        losses.append(nn.functional.cross_entropy(logits, Y))
        return losses[-1]

    perplexity, _ = d2l.train_epoch_ch8(net, batches, loss, updater, "cpu", False)
    losses = [l.item() for l in losses]
    assert perplexity == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-12)
    return losses


def make_batches():
    ids = torch.randint(V, (B, STEPS * T + 1))
    return [(ids[:, k * T : (k + 1) * T], ids[:, k * T + 1 : (k + 1) * T + 1]) for k in range(STEPS)]


def assert_equal_with_clipping_on_and_off(ours, book, norms):
    assert len(ours) == STEPS and max(abs(a - b) for a, b in zip(ours, book, strict=True)) < 1e-12
    assert min(norms) < 1 < max(norms), "the steps do not show both forms of clipping"


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_scratch_models_follow_the_books_formulas(cell):
    get_params, init_state = getattr(d2l, f"get_{cell}_params"), getattr(d2l, f"init_{cell}_state")

    def get_large_params(*sizes):
        return [
            (torch.randn(param.shape, dtype=torch.float64) * SCALE[cell]).requires_grad_()
            for param in get_params(*sizes)
        ]

    net = d2l.RNNModelScratch(V, H, "cpu", get_large_params, init_state, getattr(d2l, cell))
    assert len(net.params) == {"rnn": 5, "gru": 11, "lstm": 14}[cell]
    batches, num_states = make_batches(), 2 if cell == "lstm" else 1
    step = {"rnn": rnn_step, "gru": gru_step, "lstm": lstm_step}[cell]
    book, norms = follow_formulas(step, lambda Q, W, b: Q @ W + b, num_states, net.params, batches)
    ours = follow_d2l(net, batches, lambda batch_size: d2l.sgd(net.params, 1, batch_size))
    assert_equal_with_clipping_on_and_off(ours, book, norms)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_the_concise_models_follow_pytorchs_formulas(cell):
    net = d2l.RNNModel(getattr(nn, cell)(V, H), V).double()
    for param in net.parameters():
        nn.init.normal_(param, std=SCALE[cell.lower()])
    batches, num_states = make_batches(), 2 if cell == "LSTM" else 1
    step = {"RNN": nn_rnn_step, "GRU": nn_gru_step, "LSTM": nn_lstm_step}[cell]
    book, norms = follow_formulas(step, lambda Q, W, b: Q @ W.T + b, num_states, list(net.parameters()), batches)
    ours = follow_d2l(net, batches, torch.optim.SGD(net.parameters(), 1))
    assert_equal_with_clipping_on_and_off(ours, book, norms)
