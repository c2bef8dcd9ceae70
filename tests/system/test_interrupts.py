"""Ctrl-C at any moment is exit code 130 and one line; a second one while a run is saved says which file is good."""

import os
import re
import signal
import subprocess
import sys

import pytest
from helpers.command_line import ROOT, TINY

from lstmlm.checkpoints import checkpoint
from lstmlm.system.errors import run_to_exit_code
from lstmlm.system.interrupts import (
    InterruptHandler,
    exit_on_interrupt,
    leave_report_to_another_process,
    was_interrupted,
)

# An import that takes long, and swallows the exception of a Ctrl-C or makes another one of it
SLOW_IMPORT = """
import sys, time
print("importing", flush=True)
try:
    time.sleep({seconds})
except BaseException:
    {then}
"""
THEN = {"swallowed": "pass", "another": "raise ImportError('a library could not be loaded')"}


def interrupt(words: list[str], folder, at: str) -> tuple[int, str, str]:
    """Start python with these words, press Ctrl-C at this line of its output -> (exit code, rest of stdout, stderr)."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if line.startswith(at):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("module", ["hydra", "torch"])
def test_ctrl_c_while_a_run_imports_is_one_line(tmp_path, module, then):
    (tmp_path / f"{module}.py").write_text(SLOW_IMPORT.format(seconds=60, then=THEN[then]))
    assert interrupt([str(ROOT / "train.py"), *TINY], tmp_path, "importing") == (130, "", "stopped\n")
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("then", THEN)
def test_ctrl_c_while_a_command_imports_is_one_line(tmp_path, then):
    (tmp_path / "torch.py").write_text(SLOW_IMPORT.format(seconds=60 if then == "another" else 2, then=THEN[then]))
    code, _, err = interrupt(["-m", "lstmlm", "check"], tmp_path, "importing")
    assert (code, err) == (130, "stopped\n")


def test_ctrl_c_while_a_run_prepares_is_one_line(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import lstmlm.text.corpus as corpus, time\n"
        "corpus.read_corpus = lambda data: (print('reading', flush=True), time.sleep(60))\n"
    )
    assert interrupt([str(ROOT / "train.py"), *TINY], tmp_path, "reading") == (130, "", "stopped\n")


def test_a_shell_that_ignores_ctrl_c_for_what_it_starts_in_the_background_is_obeyed(monkeypatch):
    from lstmlm.system.interrupts import handle_interrupts

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        handle_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("is_reported_elsewhere", "said"), [(False, "stopped\n"), (True, "")])
def test_ctrl_c_is_reported_by_one_process_of_several(monkeypatch, capfd, is_reported_elsewhere, said):
    before = signal.signal(signal.SIGINT, InterruptHandler())
    monkeypatch.setattr(os, "_exit", sys.exit)
    try:
        if is_reported_elsewhere:
            leave_report_to_another_process()
        with pytest.raises(SystemExit, match="130"), exit_on_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == said


def test_the_first_ctrl_c_unwinds_and_what_comes_of_it_is_reported_as_a_stop(capsys):
    handler = InterruptHandler()
    before = signal.signal(signal.SIGINT, handler)

    def job() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("a library could not be loaded") from None

    try:
        with exit_on_interrupt():
            assert handler.at_once
        assert not handler.at_once and not was_interrupted()
        assert run_to_exit_code(job) == 130 and was_interrupted()
        assert capsys.readouterr().err == "stopped\n"
    finally:
        signal.signal(signal.SIGINT, before)


# A second Ctrl-C, while the run is saved after the first


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_second_ctrl_c_while_a_run_is_saved_says_which_file_is_good(train, tmp_path, monkeypatch, moment):
    """The last file is being replaced: before its renames, between the two, and after them."""
    replace, calls = os.replace, []

    def interrupted(source, target):
        calls.append(target)
        third_save = len(calls) >= 6
        if third_save and (moment == "before" or (moment == "between" and str(target).endswith("last.safetensors"))):
            raise KeyboardInterrupt
        replace(source, target)
        if third_save and moment == "after" and str(target).endswith("last.safetensors"):
            raise KeyboardInterrupt

    monkeypatch.setattr("lstmlm.system.durable.os.replace", interrupted)
    code, _, err = train(*TINY, "train.save_every=1", "train.eval_every=4", "hydra.run.dir=run")
    said = re.fullmatch(
        r"stopped at once: (run/\w+\.safetensors) is whole, of step (\d+): resume the run with resume=run\n", err
    )
    assert code == 130 and said, err
    assert checkpoint.load_checkpoint(tmp_path / said[1]).record["step"] == int(said[2])
    assert not list((tmp_path / "run").glob(".*.tmp"))
    monkeypatch.setattr("lstmlm.system.durable.os.replace", replace)
    code, out, err = train("resume=run")
    assert code == 0 and f"resuming from step {said[2]}," in out, err
