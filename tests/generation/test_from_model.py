"""A prompt goes through the model's own forward to the same logits and state as through steps."""

import numpy as np
from helpers.forms import every_form, make_model

from lstmlm.generation.from_model import ModelStepper, read_prompt


@every_form
def test_a_prompt_read_at_once_or_in_two_parts_gives_what_steps_give(cell, backend, monkeypatch):
    monkeypatch.setattr("lstmlm.generation.from_model.CHUNK", 7)
    model, ids = make_model(backend, cell=cell, num_layers=2), np.arange(20) % 7
    stepper = ModelStepper(model)
    logits, state = read_prompt(model, ids[:1], None)
    for id in ids[1:]:
        logits, state = stepper.step(np.array([id]), state)
    _, half = read_prompt(model, ids[:12], None)
    for read, its_state in (read_prompt(model, ids, None), read_prompt(model, ids[12:], half)):
        np.testing.assert_allclose(read, logits, atol=1e-12)
        for ours, one in zip(its_state, state, strict=True):
            np.testing.assert_allclose(ours, one, atol=1e-12)


def test_reading_drops_nothing_and_leaves_a_model_in_training_in_training():
    model, ids = make_model("nn", dropout=0.5), np.arange(7)
    expected, _ = read_prompt(model.eval(), ids, None)
    logits, _ = read_prompt(model.train(), ids, None)
    assert np.array_equal(logits, expected) and model.training
