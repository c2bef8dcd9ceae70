"""What a resumed run takes for its best weights: those that the checkpoint says, or none."""

import pytest
import torch

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.training import saver
from lstmlm.training.saver import Saver


@pytest.fixture
def written(monkeypatch):
    """The files that are written, as name and step: nothing is on the disk."""
    written: dict[str, int] = {}
    monkeypatch.setattr(
        saver.checkpoint,
        "save_checkpoint",
        lambda path, tensors, record: written.update({path.name: record["step"]}) or path.write_text(""),
    )
    monkeypatch.setattr(saver, "holds_step", lambda path, step: written.get(path.name) == step)
    return written


def make_loaded(step: int, best: int) -> Checkpoint:
    return Checkpoint({"W": torch.zeros(1)}, {"step": step, "metrics": {"step": best}})


def test_best_is_written_again_where_it_is_not_of_the_step_that_is_the_best(tmp_path, written):
    assert Saver(tmp_path, {}).restore_best(make_loaded(step=4, best=4))
    assert written == {"best.safetensors": 4}
    written["best.safetensors"] = 2  # the run was killed after `last` was written
    assert Saver(tmp_path, {}).restore_best(make_loaded(step=4, best=4))
    assert written == {"best.safetensors": 4}


def test_best_stays_as_it_is_where_it_holds_the_step_already(tmp_path, written, monkeypatch):
    written["best.safetensors"] = 4
    monkeypatch.setattr(saver.checkpoint, "save_checkpoint", lambda *_: pytest.fail("written"))
    assert Saver(tmp_path, {}).restore_best(make_loaded(step=4, best=4))


def test_the_best_of_an_earlier_step_is_had_only_where_its_file_is(tmp_path, written):
    assert not Saver(tmp_path, {}).restore_best(make_loaded(step=4, best=2))
    (tmp_path / "best.safetensors").write_text("")
    assert Saver(tmp_path, {}).restore_best(make_loaded(step=4, best=2))
    assert written == {}
