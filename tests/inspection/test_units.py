"""A unit that tracks a feature is found; its correlation is that of unseen text; holding it takes what it gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.forms import make_model

from lstmlm.inspection.ablation import Ablation, ablate_units, collect_nats, hold_unit
from lstmlm.inspection.connectivity import find_connectivity
from lstmlm.inspection.exploration import describe_exploration, explore
from lstmlm.inspection.states import iterate_states, make_fast
from lstmlm.inspection.units import correlate, find_units, measure_memory
from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import Vocab

VOCAB = Vocab.from_tokens(["<unk>", *'ab. \n"', "\u201c", "\u201d"])
OPEN, CLOSE = VOCAB["\u201c"], VOCAB["\u201d"]
QUOTES = 3  # the unit of make_quoting that is 1 inside quotation marks


def make_text(count: int) -> torch.Tensor:
    """Words of a and b in lines and sentences, of which some are inside curly quotation marks."""
    rng = np.random.default_rng(0)
    words, quoted, size = [], False, 0
    while size < count:
        if rng.random() < 0.2:
            words.append("\u201d" if quoted else "\u201c")
            quoted = not quoted
        words.append("".join(rng.choice(list("ab"), rng.integers(1, 6))) + str(rng.choice([" ", " ", ". ", "\n"])))
        size = sum(map(len, words))
    return torch.from_numpy(VOCAB.encode("".join(words)[:count]))


def make_quoting(backend: str = "scratch") -> RNNModel:
    """An LSTM whose cell QUOTES opens at one mark, is kept, and is forgotten at the other; it predicts the latter."""
    model = make_model(backend, torch.float32, vocab_size=len(VOCAB), num_hiddens=6)
    book = model.book_weights()
    for gate in "ifoc":
        book[f"layers.0.W_h{gate}"][:, QUOTES] = 0
        book[f"layers.0.W_x{gate}"][:, QUOTES] = 0
    book["layers.0.b_i"][QUOTES], book["layers.0.W_xi"][OPEN, QUOTES] = -20, 40
    book["layers.0.b_f"][QUOTES], book["layers.0.W_xf"][CLOSE, QUOTES] = 20, -40
    book["layers.0.W_xf"][OPEN, QUOTES] = -40
    book["layers.0.b_o"][QUOTES] = book["layers.0.b_c"][QUOTES] = 20
    book["W_hq"][QUOTES, CLOSE], book["b_q"][CLOSE] = 6, -6
    model.load_book_weights(book)
    return model


def test_a_unit_made_to_track_quotation_marks_is_found_and_confirmed():
    explored = explore(make_quoting(), VOCAB, make_text(3000))
    first = explored.findings[0]
    assert (first.unit.layer, first.unit.unit, first.unit.feature) == (0, QUOTES, "inside quotation marks")
    assert first.unit.r > 0.999 and first.unit.r_chosen > 0.999
    assert first.rise_there > 3 * first.median_there > 0
    assert first.dearest[0][0] == "the character \u201d"
    assert first.unit.memory > 5
    row = describe_exploration(explored)
    assert row["findings"][0]["feature"] == "inside quotation marks"
    assert len(row["units"]) == 2 * 6


@pytest.mark.parametrize("cell", WEIGHT_NAMES)
def test_correlations_are_those_of_numpy_on_either_half(cell):
    model, ids = make_fast(make_model("scratch", torch.float32, vocab_size=len(VOCAB), cell=cell)), make_text(1500)
    found = correlate(model, VOCAB, ids)
    blocks = list(iterate_states(model, ids))
    order = torch.cat([block.places for block in blocks]).argsort()
    states = torch.cat([block.states for block in blocks])[order].double().numpy()
    assert found.r.shape == (2, len(found.features), states.shape[1])
    for half, part in enumerate((slice(0, 750), slice(750, 1500))):
        for k, feature in enumerate(found.features):
            expected = np.corrcoef(np.column_stack([feature.values[part], states[part]]), rowvar=False)
            np.testing.assert_allclose(found.r[half, k], expected[0, 1:], atol=2e-5, err_msg=feature.name)
    np.testing.assert_allclose(found.mean, states.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.std, states.std(0), atol=1e-5)


def test_what_is_chosen_on_one_half_is_reported_on_the_other():
    model, ids = make_quoting(), make_text(3000)
    unmarked = ids.clone()
    unmarked[1500:][(ids[1500:] == OPEN) | (ids[1500:] == CLOSE)] = VOCAB["a"]
    # In the second half there is nothing inside quotation marks, so the feature is not one of this text
    assert all(unit.feature != "inside quotation marks" for unit in find_units(model, VOCAB, unmarked))
    units = find_units(model, VOCAB, ids)
    assert units == sorted(units, key=lambda unit: -abs(unit.r_chosen))


def test_memory_is_what_the_forget_gate_keeps():
    model = make_quoting()
    book = model.book_weights()
    for name in ("W_xf", "W_hf"):
        book[f"layers.0.{name}"].zero_()
    book["layers.0.b_f"][:] = torch.tensor([0.5, 0.9, 0.99, 0.999, 0.1, 0.8]).logit()
    model.load_book_weights(book)
    np.testing.assert_allclose(measure_memory(model, make_text(600))[0], [2, 10, 100, 1000, 1 / 0.9, 5], rtol=1e-3)
    assert measure_memory(make_model("nn", cell="gru", vocab_size=len(VOCAB)), make_text(600)) is None


@pytest.mark.parametrize("cell", WEIGHT_NAMES)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_held_unit_shows_its_value_to_all_that_reads_it(cell, layer):
    """The reference steps the layers one character at a time and puts the value in the place of the unit."""
    model, ids, value = make_model("scratch", cell=cell, num_layers=2), torch.randint(7, (1, 12)), 0.4
    state = list(model.begin_state(1, "cpu"))
    state[0][layer, 0, 2] = value
    expected = []
    if cell == "gru_before":  # whose reset gate is held open with the unit
        book = model.book_weights()
        prefix = f"layers.{layer}."
        book[prefix + "b_r"][2], book[prefix + "W_xr"][:, 2], book[prefix + "W_hr"][:, 2] = 50, 0, 0
        reference = make_model("scratch", cell=cell, num_layers=2)
        reference.load_book_weights(book)
    else:
        reference = model
    with torch.no_grad():
        for idx in ids[0]:
            Y = reference.inputs(idx.view(1, 1))
            for k, own in enumerate(reference.recurrent_layers):
                Y, after = own(Y, tuple(part[k] for part in state))
                for part, new in zip(state, after, strict=True):
                    part[k] = new
                if k == layer:
                    state[0][k, 0, 2] = Y[0, 0, 2] = value
            expected.append(Y[0] @ reference.W_hq + reference.b_q)
        found, _ = hold_unit(model, layer, 2, value)(ids)
    torch.testing.assert_close(found, torch.cat(expected))


def test_a_model_is_not_changed_by_holding_a_unit():
    model = make_model("fused")
    before = model.book_weights()
    hold_unit(model, 0, 1, 0.5)
    assert all(torch.equal(model.book_weights()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(("layer", "unit", "says"), [(1, 0, "layer: the model has 0 to 0, got 1"), (0, -1, "unit: ")])
def test_a_unit_that_is_not_there_is_bad_input(layer, unit, says):
    with pytest.raises(BadInput, match=says):
        hold_unit(make_model("nn"), layer, unit, 0.0)


def test_an_ablation_is_what_the_held_model_costs_more():
    model, ids = make_fast(make_quoting()), make_text(800)
    (found,) = ablate_units(model, ids, {(0, QUOTES): 0.3})
    expected = collect_nats(hold_unit(model, 0, QUOTES, 0.3), ids) - collect_nats(model, ids)
    np.testing.assert_array_equal(found.rise, expected)
    assert found.mean == pytest.approx(expected.mean())
    closes = (ids[1:] == CLOSE).numpy()
    assert found.find_dearest(ids[1:].numpy())[0] == (CLOSE, closes.sum(), pytest.approx(found.mean_at(closes)))


def test_a_rare_character_is_not_among_the_dearest():
    rise = np.array([9.0] * 3 + [1.0] * 20 + [0.5] * 20)
    assert Ablation(0, 0, 0.0, rise).find_dearest(np.array([1] * 3 + [2] * 20 + [3] * 20)) == [
        (2, 20, 1.0),
        (3, 20, 0.5),
    ]


@pytest.mark.parametrize("arguments", [{}, {"cell": "gru", "num_layers": 2, "embedding_dim": 3}], ids=str)
def test_shares_are_those_of_the_gradient(arguments):
    model, ids = make_model("nn", **arguments), torch.randint(7, (40,))
    shares = find_connectivity(model, ids, 0, 30, window=6)
    assert shares.shape == (30, 6)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    scratch = RNNModel(replace(model.config), "scratch").double()
    scratch.load_book_weights(model.book_weights())
    for t in (2, 5, 25):
        X = scratch.inputs(ids[None, : t + 1])
        X = (X if X.is_floating_point() else torch.nn.functional.one_hot(X, 7).double()).detach().requires_grad_()
        Y, parts = X, scratch.begin_state(1, "cpu")
        for k, own in enumerate(scratch.recurrent_layers):
            Y, _ = own(Y, tuple(part[k] for part in parts))
        cost = torch.nn.functional.cross_entropy(Y[-1] @ scratch.W_hq + scratch.b_q, ids[t + 1 : t + 2])
        norms = torch.autograd.grad(cost, X)[0].norm(dim=2)[:, 0].flip(0)[:6]
        expected = (norms / norms.sum()).numpy()
        np.testing.assert_allclose(shares[t, : len(expected)], expected, rtol=1e-4)
        assert not shares[t, len(expected) :].any()
    np.testing.assert_allclose(find_connectivity(model, ids, 20, 100, window=6)[:10], shares[20:], rtol=1e-4)


def test_a_short_text_is_bad_input():
    with pytest.raises(BadInput, match="text: has 99 characters: what units track needs at least 500"):
        find_units(make_quoting(), VOCAB, make_text(99))
