"""Losses, weights, texts and scores are those that were recorded; what was written before is still read and resumed."""

import json
import shutil

import pytest
from helpers.command_line import ROOT
from helpers.recorded import FORMS, evaluations, machine, record_form

FIXTURES = ROOT / "tests" / "fixtures"
RECORDED = json.loads((FIXTURES / "recorded.json").read_text(encoding="utf-8"))


def numbers(value: object) -> list[float]:
    """All floats in a JSON value, in order."""
    if isinstance(value, dict):
        value = [inner for key, inner in value.items() if key != "settings"]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("form", FORMS)
def test_twenty_steps_and_what_is_made_of_them_are_as_recorded(form, tmp_path):
    """Bit for bit where the processor and the libraries are those of the record, elsewhere to the fourth digit."""
    now, then = record_form(FORMS[form], tmp_path), RECORDED["forms"][form]
    if machine() == RECORDED["machine"]:
        assert now == then
    for key in ("loss/train", "loss/val", "evaluate", "score"):
        assert numbers(now[key]) == pytest.approx(numbers(then[key]), rel=1e-3)


@pytest.fixture
def old_run(tmp_path):
    """A run directory written before the package had folders: format 2, with `train.floors` in its settings."""
    shutil.copytree(FIXTURES / "format2_run", tmp_path / "old")
    return tmp_path / "old"


def test_a_run_of_before_is_evaluated_to_its_own_figures(old_run, command):
    final = json.loads((old_run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    code, out, err = command("evaluate", str(old_run), "--split", "test", "--json")
    assert code == 0, err
    assert json.loads(out)["nats_per_char"] == pytest.approx(final["loss/test_best"], rel=1e-5)


def test_a_run_of_before_is_resumed_and_ends(old_run, train):
    code, _, err = train(f"resume={old_run}", "train.max_steps=40")
    assert code == 0, err
    assert [row["step"] for row in evaluations(old_run)] == [10, 20, 30, 40]


def test_runs_of_before_and_of_now_are_compared(old_run, train, command):
    words = [word for word in (old_run / "config.yaml").read_text().splitlines() if word]
    assert words
    code, out, err = command("compare", str(old_run))
    assert code == 0, err
    assert "finished" in out or str(old_run) in out
