"""Runs of former versions keep the rules by which they were made; runs of now clip and warm up as the book would."""

import json
import shutil

import pytest
import torch
from helpers.command_line import ROOT
from helpers.forms import make_model
from helpers.recorded import FORMS, RUN, SETTINGS, evaluations, machine, sha256_of_tensors

from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.runs.resume import settings_to_resume
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

FIXTURES = ROOT / "tests" / "fixtures"


def recipe(rules: int, theta: float) -> Recipe:
    return Recipe(1.0, "constant", 0.0, grad_clip=theta, ema=None, micro_batches=1, precision="float32", rules=rules)


@pytest.mark.parametrize(("rules", "added"), [(1, 1e-6), (2, 0.0)])
def test_a_step_is_clipped_by_its_rules(rules, added):
    model, theta = make_model("scratch", torch.float64), 1e-3
    X, Y = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1, 2, 3, 4]])
    before = torch.cat([param.detach().flatten() for param in model.trained().values()])
    learner = Learner(model, build_optimizer(model, "sgd", 1.0, 0.0))
    norm = train_step(learner, X, Y, model.begin_state(1, "cpu"), recipe(rules, theta)).norm
    moved = before - torch.cat([param.detach().flatten() for param in model.trained().values()])
    torch.testing.assert_close(moved.norm(), theta * norm / (norm + added), rtol=1e-10, atol=0)


def test_a_run_by_rules_1_is_the_one_that_0_1_recorded(train, tmp_path):
    """tests/fixtures/rules_1.json is a part of what 0.1.0 recorded, before there were other rules."""
    then = json.loads((FIXTURES / "rules_1.json").read_text(encoding="utf-8"))
    assert train(*FORMS["lstm nn"], *SETTINGS, *RUN, "train.rules=1", "hydra.run.dir=run")[0] == 0
    rows = evaluations(tmp_path / "run")
    for tag in ("loss/train", "loss/val"):
        assert [row[tag] for row in rows] == pytest.approx(then[tag], rel=1e-3)
    if machine() == then["machine"]:
        assert sha256_of_tensors(tmp_path / "run" / "last.safetensors") == then["last"]


def test_a_run_of_0_1_is_resumed_by_its_own_rules_and_a_run_of_now_by_its_own(train, tmp_path):
    shutil.copytree(FIXTURES / "format2_run", tmp_path / "old")
    assert settings_to_resume(load_checkpoint(tmp_path / "old" / "last.safetensors"), {}).train.rules == 1
    code, _, err = train("resume=old", "train.rules=2", "train.max_steps=21")
    assert code == 2 and err == "error: resume: train.rules is 1 in the run, 2 now: leave it out, or start a new run\n"
    assert train("resume=old", "train.max_steps=21")[0] == 0
    written = load_checkpoint(tmp_path / "old" / "last.safetensors")
    assert written.record["step"] == 21 and written.record["config"]["train"]["rules"] == 1
    assert settings_to_resume(written, {}).train.rules == 1
