"""States are those of the model, of every character once, whatever the cell and the length of the text."""

import numpy as np
import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.inspection.ablation import collect_nats
from lstmlm.inspection.states import WARM_UP, Block, count_lanes, find_middle, iterate_states, list_parts, make_fast
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.labels import add_labels


def collect(model: RNNModel, ids: torch.Tensor) -> Block:
    """The blocks of a text as one, in the order of the text."""
    blocks = [vars(block) for block in iterate_states(make_fast(model), ids)]
    whole = {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}
    order = whole["places"].argsort()
    return Block(**{name: tensor[order] for name, tensor in whole.items()})


def read_one_by_one(model: RNNModel, ids: torch.Tensor) -> torch.Tensor:
    """The states (n, S) of one stream, as the model gives them."""
    state, rows = None, []
    with torch.no_grad():
        for idx in ids:
            _, state = model.hidden_states(idx.view(1, 1), state)
            parts = dict(zip("HC", state, strict=False))
            rows.append(torch.cat([parts[part][layer, 0] for layer, part in list_parts(model)]))
    return torch.stack(rows)


@every_form
def test_states_are_those_of_the_model_that_reads_one_stream(cell, backend):
    model, ids = make_model(backend, cell=cell, num_layers=2, embedding_dim=None), torch.randint(7, (701,))
    found = collect(model, ids)
    assert found.places.tolist() == list(range(701))
    expected = read_one_by_one(model, ids)
    torch.testing.assert_close(found.states[: find_middle(701)], expected[: find_middle(701)])
    # The second lane begins WARM_UP characters before its own, which a model so small does not remember
    torch.testing.assert_close(found.states, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("num_labels", [0, 2])
def test_surprisal_and_entropy_are_those_of_the_logits(num_labels):
    model, ids = make_model("nn", num_layers=2, num_labels=num_labels), torch.randint(7, (300,))
    found = collect(model, ids)
    with torch.no_grad():
        inputs = torch.from_numpy(add_labels(ids.numpy(), num_labels, 7))
        logprobs = model(inputs[None])[0].log_softmax(1)
    expected = -logprobs[:-1].gather(1, ids[1:, None])[:, 0]
    torch.testing.assert_close(found.surprisal[1:150], expected[:149])
    torch.testing.assert_close(found.entropy[:150], -(logprobs.exp() * logprobs).sum(1)[:150])
    np.testing.assert_allclose(collect_nats(make_fast(model), ids), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("count", [2, 3, WARM_UP, 1000, 100_003])
def test_the_first_half_of_the_lanes_is_the_first_half_of_the_text(count):
    assert count_lanes(count) % 2 == 0
    assert 0 < find_middle(count) < count
    assert abs(2 * find_middle(count) - count) <= count_lanes(count)


@pytest.mark.parametrize("count", [2, 5, 257])
def test_every_character_of_a_short_text_is_read_once(count):
    assert collect(make_model("fused", torch.float32), torch.randint(7, (count,))).places.tolist() == list(range(count))
