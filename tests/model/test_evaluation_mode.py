"""The mode of a model is restored, also when the block raises."""

import pytest
import torch
from helpers.forms import make_model

from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.gates import collect_gate_openings


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_of_before_is_restored_also_after_an_error(mode):
    model = make_model("nn").train(mode)
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert all(module.training == mode for module in model.modules())
    with pytest.raises(KeyboardInterrupt), evaluation_mode(model):
        raise KeyboardInterrupt
    assert all(module.training == mode for module in model.modules())


def test_gates_are_measured_without_dropout():
    """Of two layers: dropout acts on what the second reads."""
    model, ids = make_model("scratch", num_layers=2, dropout=0.5, locked_input=0.3, weight_drop=0.3), torch.arange(7)
    expected = collect_gate_openings(model.eval(), ids[None])
    found = collect_gate_openings(model.train(), ids[None])
    assert model.training
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(ours[gate], theirs[gate]) for gate in theirs)
