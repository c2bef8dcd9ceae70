"""Fixtures for all tests: one thread, a cache of their own, the two command-line programs, small trained runs."""

import signal
import sys
from pathlib import Path

import pytest
import torch
from helpers.command_line import SMALL_RUN, shell
from hypothesis import settings

from lstmlm import cli
from lstmlm.runs import launch

WHOLE_SPLIT = ["data.split=[0.9,0.05,0.05]", "train.eval_chars=500"]

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def a_cache_of_their_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSTMLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_core():
    """So that threads=auto is 1, in the processes that tests start too: no timing, and the same bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def a_wide_terminal():
    """So that messages are whole lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        yield


@pytest.fixture(autouse=True)
def same_draws_every_time():
    torch.manual_seed(0)


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """Call `python train.py` in this process, standing in an empty folder -> (exit code, stdout, stderr)."""

    def call(*overrides: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = launch.train(list(overrides))
        return code, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return call


@pytest.fixture
def command(capsys):
    """Call `python -m lstmlm` in this process -> (exit code, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session", params=["scratch", "nn"])
def run_directory(request, tmp_path_factory) -> Path:
    """A small finished run of each backend on the embedded text, made by the real command line."""
    directory = tmp_path_factory.mktemp("run") / request.param
    done = shell("train.py", f"backend={request.param}", f"hydra.run.dir={directory}", *SMALL_RUN, *WHOLE_SPLIT)
    assert done.returncode == 0, done.stderr
    (directory / "screen.txt").write_text(done.stdout)
    return directory
