"""One step of one character is the model's full forward, for every cell, backend and number of samples."""

import numpy as np
import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.generation.stepper import CELLS, Stepper
from lstmlm.inspection.equality import relative_difference
from lstmlm.layers.registry import BACKENDS

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}  # of the largest element
every_model = pytest.mark.parametrize(
    ("num_layers", "embedding_dim", "dtype"),
    [(1, None, torch.float64), (2, None, torch.float64), (2, 3, torch.float64), (3, None, torch.float32)],
)


@every_form
@every_model
@pytest.mark.parametrize("N", [1, 3])
def test_steps_are_the_full_forward(cell, backend, num_layers, embedding_dim, dtype, N):
    model = make_model(
        backend, dtype, cell=cell, num_layers=num_layers, embedding_dim=embedding_dim, num_hiddens=19, dropout=0.5
    )
    ids = torch.randint(7, (N, 30))
    model.eval()
    logits, end = model(ids)
    zero = model.begin_state(N, "cpu")
    state = [tuple(part[k].numpy() for part in zero) for k in range(num_layers)]
    stepper, rows = Stepper(model), []
    for column in ids.T.numpy():
        row, state = stepper.step(column, state)
        rows.append(row)
    assert rows[0].dtype == state[0][0].dtype == logits.detach().numpy().dtype
    parts = [np.stack(part) for part in zip(*state, strict=True)]
    for ours, whole in zip((np.concatenate(rows), *parts), (logits, *end), strict=True):
        assert relative_difference(torch.from_numpy(ours), whole.detach()) <= TOLERANCE[dtype]


@every_form
def test_a_prompt_read_whole_is_the_same_stepped_and_from_a_state_it_goes_on(cell, backend, monkeypatch):
    monkeypatch.setattr("lstmlm.generation.stepper.CHUNK", 7)
    stepper, ids = Stepper(make_model(backend, cell=cell, num_layers=2)), np.arange(20) % 7
    logits, state = stepper.read(ids[:1], None)
    for id in ids[1:]:
        logits, state = stepper.step(np.array([id]), state)
    _, half = stepper.read(ids[:12], None)
    for read, its_state in (stepper.read(ids, None), stepper.read(ids[12:], half)):
        np.testing.assert_allclose(read, logits, atol=1e-12)
        for ours, one in zip(its_state, state, strict=True):
            np.testing.assert_allclose(ours, one, atol=1e-12)


def test_in_the_midst_of_training_nothing_is_dropped_and_training_goes_on():
    model, ids = make_model("nn", dropout=0.5), np.arange(7)
    expected, _ = Stepper(model.eval()).read(ids, None)
    logits, _ = Stepper(model.train()).read(ids, None)
    assert np.array_equal(logits, expected) and model.training


def test_a_state_that_was_kept_is_not_changed_by_what_comes_after():
    stepper = Stepper(make_model("nn"))
    _, kept = stepper.read(np.array([1, 2]), None)
    before = np.array(kept)
    _, state = stepper.step(np.array([3]), kept)
    stepper.step(np.array([4]), state)
    stepper.read(np.array([5, 6]), kept)
    assert np.array_equal(kept, before)


def test_every_cell_has_its_step():
    assert set(CELLS) == set(BACKENDS)
