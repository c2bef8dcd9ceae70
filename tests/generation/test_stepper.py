"""One step of one character is the model's full forward, for every cell, backend and number of samples."""

import numpy as np
import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.generation.from_model import ModelStepper, read_prompt
from lstmlm.generation.stepper import CELLS
from lstmlm.inspection.equality import measure_difference
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
    stepper, rows = ModelStepper(model), []
    for column in ids.T.numpy():
        row, state = stepper.step(column, state)
        rows.append(row)
    assert rows[0].dtype == state[0][0].dtype == logits.detach().numpy().dtype
    parts = [np.stack(part) for part in zip(*state, strict=True)]
    for ours, whole in zip((np.concatenate(rows), *parts), (logits, *end), strict=True):
        assert measure_difference(torch.from_numpy(ours), whole.detach()) <= TOLERANCE[dtype]


def test_a_kept_state_is_not_changed_by_later_steps():
    model = make_model("nn")
    stepper = ModelStepper(model)
    _, kept = read_prompt(model, np.array([1, 2]), None)
    before = np.array(kept)
    _, state = stepper.step(np.array([3]), kept)
    stepper.step(np.array([4]), state)
    read_prompt(model, np.array([5, 6]), kept)
    assert np.array_equal(kept, before)


def test_every_cell_has_its_step():
    assert set(CELLS) == set(BACKENDS)
