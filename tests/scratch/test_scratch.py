"""The book's functions have the book's signatures, shapes and start."""

import torch

from lstmlm.scratch.lstm import get_lstm_params, init_lstm_state, lstm, lstm_layer


def test_the_fourteen_parameters_have_the_books_order_shapes_and_start():
    torch.manual_seed(0)
    params = get_lstm_params(28, 256, torch.device("cpu"))
    gate = [(28, 256), (256, 256), (256,)]
    assert [tuple(param.shape) for param in params] == gate * 4 + [(256, 28), (28,)]
    assert all(param.requires_grad and param.is_leaf for param in params)
    assert sum(param.numel() for param in params) == 299_036
    for param in params:
        if param.dim() == 2:
            assert abs(param.mean()) < 5e-4 and abs(param.std() - 0.01) < 5e-4
        else:
            assert not param.any()


def test_the_state_begins_at_zero():
    H, C = init_lstm_state(3, 5, "cpu")
    assert H.shape == C.shape == (3, 5) and not H.any() and not C.any()


def test_lstm_returns_time_major_logits_and_the_last_state():
    params = get_lstm_params(6, 4, "cpu")
    inputs = torch.eye(6)[torch.randint(6, (7, 3))]
    logits, (H, C) = lstm(inputs, init_lstm_state(3, 4, "cpu"), params)
    hiddens, (H_layer, C_layer) = lstm_layer(inputs, init_lstm_state(3, 4, "cpu"), params[:12])
    assert logits.shape == (21, 6) and hiddens.shape == (7, 3, 4)
    assert torch.equal(hiddens[-1], H) and torch.equal(H, H_layer) and torch.equal(C, C_layer)
    assert torch.equal(logits[3:6], hiddens[1] @ params[12] + params[13])


def test_one_step_by_hand():
    """One unit, one input: I = F = O = sigmoid(1) and C~ = tanh(1) for weights of one."""
    params = [torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(1)] * 4
    Y, (H, C) = lstm_layer(torch.ones(1, 1, 1), (torch.zeros(1, 1), torch.full((1, 1), 2.0)), params)
    s, t = torch.sigmoid(torch.tensor(1.0)), torch.tanh(torch.tensor(1.0))
    torch.testing.assert_close(C[0, 0], s * 2 + s * t)
    torch.testing.assert_close(H[0, 0], s * torch.tanh(s * 2 + s * t))
    assert Y[0, 0, 0] == H[0, 0]
