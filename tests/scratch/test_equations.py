"""The four notations of docs/equations.md are one function; the known slip is another; the page quotes the code."""

import inspect

import torch
from helpers.command_line import ROOT

from lstmlm.layers.merged import LSTMCell
from lstmlm.layers.weight_names import LSTM
from lstmlm.scratch.lstm import lstm_layer

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


def test_the_page_shows_the_lines_of_the_code():
    code = inspect.getsource(lstm_layer)
    page = (ROOT / "docs" / "equations.md").read_text()
    lines = page.split("```python\n")[1].split("```")[0].splitlines()
    assert len(lines) == 6
    at = [code.index(line) for line in lines]
    assert at == sorted(at)
