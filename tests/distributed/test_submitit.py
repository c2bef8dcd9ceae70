"""A sweep of submitit on this machine, with jobs killed at random moments: each is that of no kill."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import ROOT, shell
from helpers.killing import TEXT, differences, outcome
from helpers.ranks import SETTINGS

pytest.importorskip("submitit")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

pytestmark = pytest.mark.slow

JOBS = 2
SWEEP = ["-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=60", "resume=auto", "hydra.sweep.dir=sweep"]
SWEEP += [word for word in SETTINGS if not word.startswith(("train.max_steps", "seed="))]
SWEEP += ["train.max_steps=600", "train.eval_every=100", f"seed={','.join(map(str, range(JOBS)))}"]


def list_job_processes(sweep: int) -> list[int]:
    """The processes that train, of the process group of a sweep."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"submitit.core._submit" in words and os.getpgid(int(entry.name)) == sweep:
                    found.append(int(entry.name))
            except OSError:  # it has ended
                continue
    return sorted(found)


def outcomes(folder: Path) -> list[dict]:
    return [outcome(path) for path in sorted((folder / "sweep").iterdir()) if path.is_dir() and path.name[0] != "."]


@pytest.mark.parametrize("count", [2, 20])
def test_kills_of_jobs_change_nothing(tmp_path, count):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text(TEXT)
    began = time.monotonic()
    done = shell(str(ROOT / "train.py"), *SWEEP, cwd=tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    length = time.monotonic() - began

    chance, struck, sweeps, errors = random.Random(count), 0, 0, tmp_path / "errors.txt"
    while struck < count:
        code = None
        while code != 0:  # the same command again, until every job has finished
            with start_sweep(tmp_path / "killed", errors) as command:
                while command.poll() is None or list_job_processes(command.pid):
                    time.sleep(chance.uniform(0.1, 0.5) * length if struck < count else 0.1)
                    if struck < count and (there := list_job_processes(command.pid)):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(chance.choice(there), chance.choice([signal.SIGKILL, signal.SIGUSR2]))
                            struck += 1
            code = command.returncode
            assert code in (0, 4), errors.read_text()
        sweeps += 1
        check(tmp_path)
        (tmp_path / "killed" / "sweep").rename(tmp_path / f"sweep{sweeps}")
    assert "a bug" not in errors.read_text()
    print(f"{struck} kills, {sweeps} sweeps of {JOBS} jobs")


@contextlib.contextmanager
def start_sweep(folder: Path, errors: Path) -> Iterator[subprocess.Popen]:
    """For the block; no process of it outlives the block."""
    command = [sys.executable, str(ROOT / "train.py"), *SWEEP]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with errors.open("a") as file:
        streams = {"stdout": subprocess.DEVNULL, "stderr": file}
        started = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def check(folder: Path) -> None:
    """Every job is that of no kill."""
    whole, killed = outcomes(folder / "whole"), outcomes(folder / "killed")
    assert len(whole) == len(killed) == JOBS
    assert [differences(a, b) for a, b in zip(whole, killed, strict=True)] == [[]] * JOBS
