"""Hydra gets the process as it needs it, and the process is afterwards as it was."""

import argparse
import os
import sys

import pytest
from helpers.command_line import TINY

from lstmlm.settings.hydra_main import set_attribute, set_environment
from lstmlm.system.errors import run_to_exit_code

SET_BY_TORCH = {"TORCHINDUCTOR_CACHE_DIR"}  # when a process makes its first optimizer


def state_of_the_process() -> tuple:
    """What hydra.main reads, and is given otherwise: class attributes, the command line, the environment."""
    parsers = [dict(vars(parser)) for parser in argparse.ArgumentParser.__mro__]
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_TORCH}
    return parsers, sys.argv, list(sys.argv), environment


CALLS = {
    "a run": TINY,
    "a sweep": [*TINY, "-m", "seed=1,2"],
    "a setting that does not exist": ["train.lrr=1"],
    "a flag that does not exist": ["--foo"],
    "help": ["--help"],
}


@pytest.mark.parametrize("wanted", [None, "0", "1"])
@pytest.mark.parametrize("words", CALLS.values(), ids=list(CALLS))
def test_train_leaves_argparse_the_command_line_and_the_environment_as_they_were(train, monkeypatch, words, wanted):
    if wanted is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)
    before = state_of_the_process()
    train(*words)
    assert state_of_the_process() == before


@pytest.mark.parametrize("wanted", [None, "0"])
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=1,2"]], ids=["a run", "a sweep"])
def test_a_job_has_the_environment_of_the_user_and_reports_a_bug_in_one_line(train, monkeypatch, wanted, sweep):
    seen = []

    def record_and_fail(*_, **__):
        seen.append(os.environ.get("HYDRA_FULL_ERROR"))
        raise ZeroDivisionError

    monkeypatch.setattr("lstmlm.runs.execute.execute", record_and_fail)
    if wanted is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)
    code, _, err = train(*TINY, *sweep)
    assert code == 1 and seen == [wanted] * (2 if sweep else 1)
    bugs = [line for line in err.splitlines() if line.startswith("error: a bug in lstmlm: ZeroDivisionError")]
    assert len(bugs) == len(seen) and "Traceback" not in err


def test_a_bug_shows_its_traceback_where_the_user_asks_for_it(train, monkeypatch):
    monkeypatch.setattr("lstmlm.runs.execute.execute", lambda *_, **__: 1 / 0)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ZeroDivisionError):
        train(*TINY)


def test_what_is_replaced_for_a_block_is_restored_when_the_block_fails(monkeypatch):
    class Parent:
        error = "inherited"

    class Child(Parent):
        own = "own"

    monkeypatch.setenv("LSTMLM_SET", "before")
    before = dict(vars(Child)), dict(os.environ)

    def fail_inside() -> None:
        with (
            set_attribute(Child, "error", 1),
            set_attribute(Child, "own", 2),
            set_environment("LSTMLM_SET", None),
            set_environment("LSTMLM_UNSET", "inside"),
        ):
            assert (Child.error, Child.own) == (1, 2)
            assert "LSTMLM_SET" not in os.environ and os.environ["LSTMLM_UNSET"] == "inside"
            raise BrokenPipeError

    assert run_to_exit_code(fail_inside) == 0
    assert (dict(vars(Child)), dict(os.environ)) == before and Child.error == "inherited"
