"""The real torchrun: a run, a mistake, a kill with --max-restarts, on one machine and on two."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command_line import ROOT, TINY, shell
from helpers.ranks import find_port

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


LONG = [word for word in TINY if not word.startswith(("train.max_steps", "train.eval_every"))]
LONG += [
    "train.max_epochs=null",
    "train.max_steps=1200",
    "train.eval_every=200",
    "resume=auto",
    "train.portrait_share=0",
]


def start(folder: Path, *options: str) -> subprocess.Popen:
    """A torchrun that starts its processes again."""
    run = [TRAIN, *LONG, "hydra.run.dir=killed"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, "--max-restarts=2", *run]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


def check_kill(folder: Path, launchers: list[subprocess.Popen], launcher: int, victim: int) -> None:
    """Once the run in the folder has saved twice, kill a process of one launcher: the run is that of no kill."""
    last = folder / "killed" / "previous.safetensors"
    while not last.exists() and all(each.poll() is None for each in launchers):
        time.sleep(0.05)
    os.kill(list_children(launchers[launcher].pid)[victim], signal.SIGKILL)
    ended = [each.communicate(timeout=300) for each in launchers]
    assert [each.returncode for each in launchers] == [0] * len(launchers), ended
    assert "resuming from step" in ended[0][0]
    assert shell(*TORCHRUN, TRAIN, *LONG, "hydra.run.dir=whole", cwd=folder).returncode == 0
    assert drop_times(folder / "killed") == drop_times(folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_with_max_restarts_changes_nothing(tmp_path, victim):
    check_kill(tmp_path, [start(tmp_path, "--standalone", "--nproc-per-node=2")], 0, victim)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [0, 1])
def test_a_killed_process_of_one_of_two_machines_changes_nothing(tmp_path, machine):
    """Two launchers, which share nothing but the port, and stand in folders of their own."""
    folders, port = [tmp_path / "0", tmp_path / "1"], find_port()
    launchers = []
    for k, folder in enumerate(folders):
        folder.mkdir()
        meet = [f"--node-rank={k}", "--master-addr=localhost", f"--master-port={port}"]
        launchers.append(start(folder, "--nnodes=2", "--nproc-per-node=1", *meet))
    check_kill(folders[0], launchers, machine, 0)
    assert list(folders[1].iterdir()) == []


@pytest.mark.slow
def test_a_mistake_is_one_line_before_torchruns_summary(tmp_path):
    done = shell(*TORCHRUN, TRAIN, "model.num_hidens=3", cwd=tmp_path)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [
        "error: model.num_hidens: no such setting: did you mean model.num_hiddens?"
    ]
