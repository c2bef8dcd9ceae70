"""Weights leave for plain torch.nn modules and come back; two biases become their sum."""

import pytest
import torch
from helpers.forms import make_model
from torch import nn

from lstmlm.inspection.equality import measure_difference
from lstmlm.model.torch_weights import from_torch, to_torch

MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def logits_of(rnn, linear, ids):
    Y, _ = rnn(nn.functional.one_hot(ids.T, 7).double())
    return linear(Y).flatten(0, 1)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", MODULES)
def test_plain_modules_with_our_weights_compute_our_function_and_give_them_back(cell, num_layers):
    model, ids = make_model("scratch", cell=cell, num_layers=num_layers), torch.randint(7, (3, 9))
    rnn, linear = MODULES[cell](7, 5, num_layers).double(), nn.Linear(5, 7).double()
    rnn_state, linear_state = to_torch(model.book_weights())
    rnn.load_state_dict(rnn_state)
    linear.load_state_dict(linear_state)
    assert measure_difference(logits_of(rnn, linear, ids), model(ids)[0]) < 1e-10
    back = from_torch(rnn.state_dict(), linear.state_dict())
    ours = model.book_weights()
    assert back.keys() == ours.keys() and all(torch.equal(back[name], ours[name]) for name in ours)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", MODULES)
def test_a_foreign_module_with_two_biases_or_none_is_equal_in_function(cell, bias):
    rnn, linear = MODULES[cell](7, 5, 2, bias=bias).double(), nn.Linear(5, 7).double()
    weights, ids = from_torch(rnn.state_dict(), linear.state_dict()), torch.randint(7, (3, 9))
    for backend in ("scratch", "nn"):
        model = make_model(backend, cell=cell, num_layers=2)
        model.load_book_weights(weights)
        assert measure_difference(model(ids)[0], logits_of(rnn, linear, ids)) < 1e-10


def test_what_no_backend_computes_is_named():
    linear = nn.Linear(5, 7).state_dict()
    with pytest.raises(ValueError, match="weight_ih_l0_reverse: only one direction"):
        from_torch(nn.LSTM(7, 5, bidirectional=True).state_dict(), linear)
    with pytest.raises(ValueError, match=r"weight_hr_l0: .*no projection"):
        from_torch(nn.LSTM(7, 5, proj_size=2).state_dict(), linear)
    with pytest.raises(ValueError, match=r"torch\.nn has no cell"):
        to_torch(make_model("scratch", cell="gru_before").book_weights())
