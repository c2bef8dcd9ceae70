"""The state of the loop, through a checkpoint and back: no field is forgotten, and a misfit is refused."""

import json
import math
from dataclasses import fields

import pytest
import torch

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.system.json_text import encode_json
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.training.clock import Clock
from lstmlm.training.loop_state import LoopState
from lstmlm.training.meter import Meter, Reading

ZEROS = (torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))


def make_fresh() -> LoopState:
    return LoopState(torch.zeros(5, dtype=torch.uint8), Meter(torch.device("cpu")), Clock(cpu_started=0.0))


def make_used() -> LoopState:
    """A state in which every field has a value of its own."""
    state = make_fresh()
    state.epoch_start = torch.arange(5, dtype=torch.uint8)
    state.meter.add(7, torch.tensor(1.5), torch.tensor(0.5), 12, None)
    state.clock.training_seconds = 2.5
    state.step, state.batch, state.chars, state.evaluations_since_best = 7, 3, 84, 2
    state.evaluation_due = True
    state.carried = tuple(zero + k for k, zero in enumerate(ZEROS, 1))
    state.since_evaluation, state.this_epoch = Reading(1.0, 2, 3.0, 4.0, 5), Reading(6.0, 7, 8.0, 9.0, 10)
    state.best = {"step": 5, "loss/val": math.inf}
    return state


def save(state: LoopState) -> Checkpoint:
    """As it comes back from a file."""
    record = json.loads(encode_json(state.to_record(steps_per_epoch=4)))
    return Checkpoint(state.to_tensors(state.carried), record)


def view(state: LoopState) -> dict[str, object]:
    """The fields as plain values, but for the clock's, which move."""
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    meter, clock = values.pop("meter"), values.pop("clock")
    values |= {"sums": meter.sums.tolist(), "meter": (meter.chars, meter.steps), "training": clock.training_seconds}
    values["epoch_start"] = state.epoch_start.tolist()
    values["carried"] = [part.tolist() for part in state.carried or ()]
    return values


def test_every_field_comes_back():
    used, restored = make_used(), make_fresh()
    before = view(restored)
    restored.restore(save(used), ZEROS, ALL_LANES)
    assert view(restored) == view(used)
    assert all(before[key] != value for key, value in view(used).items())


def test_one_of_three_processes_takes_the_state_of_its_lane():
    used, restored = make_used(), make_fresh()
    used.carried = tuple(torch.randn(zero.shape) for zero in ZEROS)
    restored.restore(save(used), ZEROS, Share(1, 3))
    assert all(torch.equal(own, whole[:, 1:2]) for own, whole in zip(restored.carried, used.carried, strict=True))


def test_a_state_of_another_batch_is_refused():
    with pytest.raises(RuntimeError, match="another model or batch"):
        make_fresh().restore(save(make_used()), (torch.zeros(2, 9, 4), torch.zeros(2, 9, 4)), ALL_LANES)


def test_a_missing_tensor_is_refused():
    saved = save(make_used())
    del saved.tensors["run.meter"]
    with pytest.raises(KeyError):
        make_fresh().restore(saved, ZEROS, ALL_LANES)


def test_where_nothing_is_carried_nothing_is_saved():
    used = make_used()
    used.carried = None
    restored = make_used()
    restored.restore(save(used), ZEROS, ALL_LANES)
    assert restored.carried is None and not [name for name in save(used).tensors if "carried" in name]


def test_what_an_older_file_lacks_is_as_in_a_run_that_has_not_evaluated():
    saved = save(make_used())
    for key in ("evaluations_since_best", "evaluation_due"):
        del saved.record["loop"][key]
    state = make_fresh()
    state.restore(saved, ZEROS, ALL_LANES)
    assert (state.evaluations_since_best, state.evaluation_due) == (0, False)
