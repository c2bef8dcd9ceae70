"""Formulas that docs/equations.md calls equal are equal, the others are not; the page quotes the code."""

import inspect

import torch
from helpers.command_line import ROOT

from lstmlm.layers.merged import LSTMCell
from lstmlm.layers.weight_names import LSTM
from lstmlm.scratch.gru import gru_layer, gru_layer_reset_after
from lstmlm.scratch.lstm import lstm_layer
from lstmlm.scratch.rnn import rnn

D, H = 4, 6
sigmoid, tanh = torch.sigmoid, torch.tanh


def random_layer():
    torch.manual_seed(0)
    shapes = {"W_x": (D, H), "W_h": (H, H), "b_": (H,)}
    params = {name: torch.randn(shapes[name[:3] if name[0] == "W" else "b_"]).double() for name in LSTM}
    return params, torch.randn(1, D).double(), torch.randn(1, H).double(), torch.randn(1, H).double()


def test_the_four_notations_are_equal():
    p, x, h, c = random_layer()
    _, (book_h, book_c) = lstm_layer(x[None], (h, c), [p[name] for name in LSTM])

    # Concatenated: W . [h, x], a column
    W = {gate: torch.cat([p["W_h" + gate], p["W_x" + gate]]).T for gate in "ifoc"}
    hx = torch.cat([h, x], dim=1).T
    column = {gate: W[gate] @ hx + p["b_" + gate][:, None] for gate in "ifoc"}
    c_2 = sigmoid(column["f"]) * c.T + sigmoid(column["i"]) * tanh(column["c"])
    h_2 = sigmoid(column["o"]) * tanh(c_2)

    # Merged: one linear map, split into f, i, o, g
    cell = LSTMCell(D, H).double()
    with torch.no_grad():
        cell.linear.weight.copy_(torch.cat([torch.cat([p["W_x" + g], p["W_h" + g]]).T for g in "fioc"]))
        cell.linear.bias.copy_(torch.cat([p["b_" + g] for g in "fioc"]))
    h_3, c_3 = cell(x, (h, c))

    # The older one: z's and the functions f, g, h
    z = {gate: x @ p["W_x" + gate] + h @ p["W_h" + gate] + p["b_" + gate] for gate in "ifoc"}
    f, g, out = sigmoid, tanh, tanh
    c_4 = g(z["c"]) * f(z["i"]) + c * f(z["f"])
    a_4 = out(c_4) * f(z["o"])

    for cell_state, hidden in ((c_2.T, h_2.T), (c_3, h_3), (c_4, a_4)):
        torch.testing.assert_close(cell_state, book_c, atol=1e-12, rtol=0)
        torch.testing.assert_close(hidden, book_h, atol=1e-12, rtol=0)

    slip = f(c_4 * f(z["o"]))
    assert (slip > 0).all() and (book_h < 0).any() and (slip - book_h).abs().max() > 0.1


def test_the_column_form_of_the_rnn_is_the_book_s_with_transposed_matrices():
    torch.manual_seed(0)
    W_xh, W_hh, b_h, W_hq, b_q = (torch.randn(*shape).double() for shape in ((D, H), (H, H), (H,), (H, D), (D,)))
    inputs, h = torch.randn(5, 1, D).double(), torch.randn(1, H).double()
    logits, (last,) = rnn(inputs, (h,), [W_xh, W_hh, b_h, W_hq, b_q])

    W_h, W_x, W_y, b_y = W_hh.T, W_xh.T, W_hq.T, b_q
    h_t = h[0]
    for x_t, expected in zip(inputs[:, 0], logits, strict=True):
        h_t = tanh(W_h @ h_t + W_x @ x_t + b_h)
        y_t = W_y @ h_t + b_y
        torch.testing.assert_close(y_t, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(h_t, last[0], atol=1e-12, rtol=0)


def test_a_gru_with_the_roles_of_z_exchanged_has_the_signs_of_its_update_gate_reversed():
    torch.manual_seed(0)
    W_xz, W_hz, b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h = (
        torch.randn(*shape).double() for shape in 3 * ((D, H), (H, H), (H,))
    )
    x, h = torch.randn(1, D).double(), torch.randn(1, H).double()
    Z = sigmoid(x @ W_xz + h @ W_hz + b_z)
    R = sigmoid(x @ W_xr + h @ W_hr + b_r)
    exchanged = (1 - Z) * h + Z * tanh(x @ W_xh + (R * h) @ W_hh + b_h)
    _, (reversed_signs,) = gru_layer(x[None], (h,), [-W_xz, -W_hz, -b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h])
    torch.testing.assert_close(exchanged, reversed_signs, atol=1e-12, rtol=0)


def test_the_two_candidates_of_the_gru_are_different_functions():
    torch.manual_seed(0)
    params = [torch.randn(*shape).double() for shape in 3 * ((D, H), (H, H), (H,))]
    x, h = torch.randn(1, 1, D).double(), torch.randn(1, H).double()
    _, (before,) = gru_layer(x, (h,), params)
    _, (after,) = gru_layer_reset_after(x, (h,), [*params, torch.zeros(H).double()])
    assert (before - after).abs().max() > 0.1


def test_the_page_shows_the_lines_of_the_code():
    code = inspect.getsource(lstm_layer)
    page = (ROOT / "docs" / "equations.md").read_text()
    lines = page.split("```python\n")[1].split("```")[0].splitlines()
    assert len(lines) == 6
    at = [code.index(line) for line in lines]
    assert at == sorted(at)
