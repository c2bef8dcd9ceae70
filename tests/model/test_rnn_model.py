"""RNNModel's shapes, and the dropout that every backend shares."""

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.model.gates import collect_gate_openings
from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel


@pytest.mark.parametrize("embedding_dim", [None, 3])
@pytest.mark.parametrize("num_layers", [1, 3])
@every_form
def test_ids_batch_first_give_logits_time_major(cell, backend, num_layers, embedding_dim):
    model = make_model(backend, cell=cell, num_layers=num_layers, embedding_dim=embedding_dim)
    ids = torch.randint(7, (3, 11))
    logits, state = model(ids)
    assert logits.shape == (33, 7) and {part.shape for part in state} == {(num_layers, 3, 5)}
    alone, _ = model(ids[1:2])
    torch.testing.assert_close(logits.view(11, 3, 7)[:, 1], alone)


def test_the_state_begins_at_zero_in_the_dtype_of_the_weights():
    H, C = make_model("scratch", num_layers=2).begin_state(3, "cpu")
    assert H.dtype == C.dtype == torch.float64 and H.shape == (2, 3, 5) and not H.any() and not C.any()


def test_dropout_thins_the_output_of_every_layer_and_keeps_its_mean():
    model = make_model("scratch", num_layers=2, num_hiddens=64, dropout=0.3)
    model.train()
    outputs, _ = model.hidden_states(torch.randint(7, (4, 50)))
    for Y in outputs:
        assert abs((Y == 0).double().mean() - 0.3) < 0.02
    model.eval()
    plain, _ = model.hidden_states(torch.randint(7, (4, 50)))
    assert all((Y != 0).all() for Y in plain)


def test_dropout_draws_from_its_own_generator():
    model, ids = make_model("nn", dropout=0.5), torch.randint(7, (2, 6))
    model.train()
    draws = []
    for _ in range(2):
        model.dropout_generator = torch.Generator().manual_seed(1)
        torch.rand(3)  # the global generator moves on, the dropout does not
        draws.append(model(ids)[0])
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], model(ids)[0])


@every_form
def test_gate_openings_are_the_gates_of_the_equations(cell, backend):
    """Recomputed step by step with these gates, the equations give back the hidden states."""
    model, ids = make_model(backend, cell=cell, num_layers=2), torch.randint(7, (3, 6))
    outputs, _ = model.hidden_states(ids)
    book, X = model.book_weights(), torch.nn.functional.one_hot(ids.T, 7).double()
    for k, gates in enumerate(collect_gate_openings(model, ids)):
        W = {name.removeprefix(f"layers.{k}."): tensor for name, tensor in book.items()}
        H = C = torch.zeros(3, 5, dtype=torch.float64)
        for t in range(6):
            gate = {name: opening[t] for name, opening in gates.items()}
            if cell == "lstm":
                C = gate["F"] * C + gate["I"] * torch.tanh(X[t] @ W["W_xc"] + H @ W["W_hc"] + W["b_c"])
                H = gate["O"] * torch.tanh(C)
            elif cell == "rnn":
                assert not gate
                H = torch.tanh(X[t] @ W["W_xh"] + H @ W["W_hh"] + W["b_h"])
            else:
                after = gate["R"] * (H @ W["W_hh"] + W.get("b_hn", 0))
                before = (gate["R"] * H) @ W["W_hh"]
                H_tilda = torch.tanh(X[t] @ W["W_xh"] + (after if cell == "gru" else before) + W["b_h"])
                H = gate["Z"] * H + (1 - gate["Z"]) * H_tilda
            torch.testing.assert_close(H, outputs[k][t])
        X = outputs[k]


def test_the_default_start_is_orthogonal_with_forget_bias_one():
    model = RNNModel(ModelConfig(7, 32, num_layers=2), "nn")
    initialize(model, "default", torch.Generator().manual_seed(0))
    weights = model.book_weights()
    for k in range(2):
        W = weights[f"layers.{k}.W_ho"]
        torch.testing.assert_close(W @ W.T, torch.eye(32, dtype=W.dtype), atol=1e-6, rtol=0)
        assert (weights[f"layers.{k}.b_f"] == 1).all() and not weights[f"layers.{k}.b_i"].any()
