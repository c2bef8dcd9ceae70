"""The real torchrun: a run, a mistake, a kill with --max-restarts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command_line import ROOT, TINY, shell

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TRAIN = str(ROOT / "train.py")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs gloo and /proc")


def drop_times(directory: Path) -> list[dict]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    timed = ("seconds", "cpu_seconds", "chars_per_s", "speed/")
    return [{key: value for key, value in row.items() if not key.startswith(timed)} for row in rows]


def test_torchrun_trains_in_one_directory_and_prints_once(tmp_path):
    done = shell(*TORCHRUN, TRAIN, *TINY, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 4  epoch") == 1
    (directory,) = (tmp_path / "runs").iterdir()
    assert json.loads((directory / "metrics.jsonl").read_text().splitlines()[-1])["state"] == "finished"


def list_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_with_max_restarts_changes_nothing(tmp_path, victim):
    words = [word for word in TINY if not word.startswith(("train.max_steps", "train.eval_every"))]
    words += ["train.max_epochs=null", "train.max_steps=1200", "train.eval_every=200", "resume=auto"]
    words += ["train.portrait_share=0"]
    command = [sys.executable, *TORCHRUN, "--max-restarts=2", TRAIN, *words, "hydra.run.dir=killed"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "killed" / "previous.safetensors"
    while not last.exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(list_children(process.pid)[victim], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "resuming from step" in out
    assert shell(*TORCHRUN, TRAIN, *words, "hydra.run.dir=whole", cwd=tmp_path).returncode == 0
    assert drop_times(tmp_path / "killed") == drop_times(tmp_path / "whole")


@pytest.mark.slow
def test_a_mistake_is_one_line_before_torchruns_summary(tmp_path):
    done = shell(*TORCHRUN, TRAIN, "model.num_hidens=3", cwd=tmp_path)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [
        "error: model.num_hidens: no such setting: did you mean model.num_hiddens?"
    ]
