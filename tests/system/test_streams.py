"""Training works wherever stdout, stderr and signals are not those of a terminal; messages do not drive one."""

import io
import logging
import sys
import threading

import pytest
from helpers.command_line import TINY

from lstmlm.runs.launch import train as train_command
from lstmlm.runs.run_directory import SafeFormatter
from lstmlm.system.errors import BadInput, run_to_exit_code

HOSTILE = "a\x1b]0;title\x07\x1b[2J\u202eb\nerror: another line"


class Cell(io.StringIO):
    """A stream such as a notebook's, which has neither `reconfigure` nor a file."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@pytest.mark.parametrize("stream", [Cell, lambda: None], ids=["a notebook's stream", "no stream"])
def test_a_run_writes_to_any_stream(monkeypatch, tmp_path, stream):
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setattr(sys, "stderr", stream())
    assert train_command([*TINY, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    sys.stdout.close()
    sys.stderr.close()
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_a_run_in_a_thread_ends_as_in_the_main_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = []
    thread = threading.Thread(target=lambda: codes.append(train_command([*TINY, "hydra.run.dir=run"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_an_error_is_one_line_that_controls_no_terminal(capsys):
    def fail() -> None:
        raise BadInput(f"checkpoint: {HOSTILE}")

    assert run_to_exit_code(fail) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "\x1b" not in err and "\u202e" not in err and "\\x1b]0;title" in err


def test_a_bug_is_one_line_that_controls_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def fail() -> None:
        raise RuntimeError(HOSTILE)

    assert run_to_exit_code(fail) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_the_log_controls_no_terminal():
    record = logging.LogRecord("lstmlm", logging.INFO, "", 0, "text: %s", (HOSTILE,), None)
    assert "\x1b" not in SafeFormatter("%(message)s").format(record)
