"""Runs of several processes, which are forked from one process that has torch and one thread, instead of torchrun's.

Used by the tests of distributed/ as a process of its own: OPENBLAS_NUM_THREADS=1 python -m helpers.ranks SCENE DIRECTORY
"""

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed

from helpers.killing import TEXT, differences, outcome, state_problems, warm_up
from lstmlm.runs import launch
from lstmlm.runs import several as several  # imported before the fork, with all that it imports

SETTINGS = ["data=file", "model.num_hiddens=8", "model.num_layers=2", "model.dropout=0.3", "train.lr=0.02"]
SETTINGS += ["data.batch_size=4", "data.num_steps=8", "data.split=[0.6,0.2,0.2]", "train.max_epochs=3", "seed=3"]
SETTINGS += ["train.log_every=4", "train.eval_every=13", "train.save_every=7", "sample.length=20", "threads=1"]
SETTINGS += ["train.portrait_share=0", "train.baselines=false"]


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start(size: int, words: Sequence[str], folder: Path, before: Callable[[int], None] = lambda rank: None) -> list[int]:
    """Fork `size` processes of `python train.py WORDS`, which stand in the folder; their ids.

    What rank k prints goes to the files k.out and k.err there, after what is in them. `before` is called in each.
    """
    port, pids = find_port(), []
    for rank in range(size):
        if pid := os.fork():
            pids.append(pid)
            continue
        os.chdir(folder)
        for number, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{rank}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        if size > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
            os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        code = 99
        with contextlib.suppress(SystemExit):
            before(rank)
            code = launch.train(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return pids


def wait(pids: Sequence[int], seconds: float = 60.0) -> list[int | None]:
    """The exit codes of processes, negative for a signal, None for one that does not end in time."""
    codes: dict[int, int | None] = dict.fromkeys(pids)
    deadline = time.monotonic() + seconds
    while None in codes.values() and time.monotonic() < deadline:
        for pid in (pid for pid, code in codes.items() if code is None):
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.005)
    for pid in (pid for pid, code in codes.items() if code is None):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return list(codes.values())


def run(size: int, *words: str, folder: Path) -> list[int | None]:
    return wait(start(size, words, folder))


def read(folder: Path, kind: str, ranks: int) -> str:
    """What the ranks printed."""
    return "".join((folder / f"{rank}.{kind}").read_text() for rank in range(ranks))


def losses(directory: Path) -> list[float]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [row[key] for row in rows if "loss/train" in row for key in ("loss/train", "loss/val")]
