"""benchmarks/gpu.py runs from end to end, here on a CPU at a tiny size, and keeps what it has measured."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from helpers.command_line import ROOT

TEXT = str(ROOT / "data" / "tide_clock.txt")


@pytest.fixture
def gpu(monkeypatch):
    """Call `python benchmarks/gpu.py --device cpu --small` in this process -> its report."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = importlib.import_module("gpu")

    def call(*words: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--small", "--text", TEXT, *words])
        script.main()
        return json.loads(Path("gpu.json").read_text())

    return call


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_there_is_a_row_for_each_contestant_and_the_one_that_cannot_be_here_says_why(gpu):
    report = gpu("--parts", "steps")
    rows = {row["contestant"]: row for row in report["steps"]}
    assert set(rows) == set(importlib.import_module("gpu").CONTESTANTS)
    assert rows.pop("fused, CUDA graph")["error"] == "RuntimeError: a CUDA graph needs CUDA"
    assert all(row["chars_per_s"] > 0 and row["ratio_to_nn"] > 0 for row in rows.values())
    assert report["gpu"] is None and "torch" in report["machine"]


def test_the_recipe_is_trained_and_its_final_scores_are_in_the_report(gpu):
    found = gpu("--parts", "train")["train"]
    assert found["code"] == 0 and found["final"]["step"] == 4 and found["final"]["loss/val_last"] > 0
    assert [row["step"] for row in found["evaluations"]] == [4]


def test_a_command_that_fails_is_in_the_report_with_what_it_said(gpu):
    found = gpu("--parts", "train", "--text", "nothere.txt")["train"]
    assert found["code"] == 2 and "nothere.txt" in found["error"] and found["final"] is None


def test_what_was_measured_is_kept_when_a_later_part_breaks(gpu, monkeypatch):
    script = importlib.import_module("gpu")
    monkeypatch.setattr(script, "check", lambda report, device: report.add("check", {"code": 0}))
    monkeypatch.setattr(script, "make_step", lambda *_: pytest.fail("broken"))
    with pytest.raises(pytest.fail.Exception, match="broken"):
        gpu()
    assert json.loads(Path("gpu.json").read_text())["check"] == {"code": 0}


def test_an_unknown_part_and_a_gpu_that_is_not_there_are_refused(gpu, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="--parts: chekc is none of"):
        gpu("--parts", "chekc")
    with pytest.raises(SystemExit, match="--device: no cuda device"):
        gpu("--device", "cuda")


@pytest.mark.slow
def test_all_parts_one_after_the_other(gpu):
    report = gpu()
    assert report["check"]["code"] == 0 and all(row["passed"] for row in report["check"]["rows"])
    assert {"steps", "train", "seconds"} <= set(report)
