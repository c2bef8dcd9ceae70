"""Small weights score a text as the steps in C compute it, wherever it is cut, and near to the model in float32."""

import pytest
import torch
from helpers.forms import make_model

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation import stepped
from lstmlm.evaluation.stepped import SteppedModel
from lstmlm.generation import native_stepper


@pytest.mark.parametrize("kind", ["bf16", "int8"])
def test_logits_and_states_are_near_those_of_the_model_and_the_same_wherever_a_text_is_cut(monkeypatch, kind):
    if native_stepper.find_kernel() is None:
        pytest.skip("there is no C compiler")
    model = make_model("nn", torch.float32, num_layers=2).eval()
    small = SteppedModel(Checkpoint(model.book_weights(), {"model": model.config.to_record()}), kind)
    ids = torch.randint(7, (3, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, state = model(ids)
    found, found_state = small(ids)
    assert found.shape == logits.shape
    torch.testing.assert_close((found, *found_state), (logits, *state), atol=0.05, rtol=0)
    monkeypatch.setattr(stepped, "AT_ONCE", 21)  # 7 steps of 3 lanes
    again, _ = small(ids)
    assert torch.equal(again, found)
    first, carried = small(ids[:, :13])
    second, end = small(ids[:, 13:], carried)
    assert torch.equal(torch.cat([first, second]), found) and torch.equal(end[0], found_state[0])
