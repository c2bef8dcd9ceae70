"""Every fault of the catalogue ends as its row says: in one line with its exit code, or not at all; nothing is lost."""

import ast
import dataclasses
import functools
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import CATALOGUE, strikes
from catalogue.damage import flip
from catalogue.scene import SMALL, Scene
from helpers.command_line import composed_config
from helpers.killing import outcome

from lstmlm.checkpoints import checkpoint
from lstmlm.runs.launch import resume_run, start_run
from lstmlm.runs.resume import load_newest_good
from lstmlm.runs.run_directory import has_checkpoint
from lstmlm.system.durable import lock_directory
from lstmlm.system.errors import BadInput, run_to_exit_code

TESTS = Path(__file__).parent
GROUPS = {"A": 13, "B": 17, "C": 10, "D": 17, "E": 20, "F": 8, "G": 10, "H": 13, "I": 9, "J": 13, "K": 7, "L": 8}
CASES = [pytest.param(*case, id=f"{row.id} {row.what} {k}") for row in CATALOGUE for k, case in enumerate(row.cases)]


@pytest.fixture(scope="session")
def settings():
    return composed_config(*SMALL)


@pytest.fixture(scope="session")
def kept(tmp_path_factory, settings):
    """A run that met no fault, and the same stopped at step 3."""
    place = tmp_path_factory.mktemp("kept")
    for name, fault in (("whole", None), ("stopped", strikes.at_step(3, strikes.interrupt))):
        scene = Scene(place, place)
        if fault is not None:
            fault(scene)
        run_to_exit_code(lambda name=name: start_run(settings, None, place / name, named=True))
        scene.faults.close()
    return place


@pytest.fixture
def scene(kept, settings, tmp_path, train, command, capsys):
    def run(resume: str | None = None) -> tuple[int, str, str]:
        config, directory = dataclasses.replace(settings, resume=resume), Path("run")
        capsys.readouterr()
        job = functools.partial(resume_run, config, {}) if resume else functools.partial(start_run, config, None)
        code = run_to_exit_code(lambda: job(directory, named=True))
        return code, *capsys.readouterr()

    there = Scene(tmp_path, kept, train, command, run)
    yield there
    there.faults.close()


def left(directory: Path, curves: bool) -> dict:
    """All that a run leaves, with or without the curves."""
    return {key: v for key, v in outcome(directory).items() if curves or not key.startswith(("curve", "points"))}


@pytest.mark.parametrize(("injection", "expected"), CASES)
def test_a_fault_ends_as_its_row_says(scene, injection, expected):
    for fault in injection.given:
        fault(scene)
    before = scene.files()
    code, scene.out, err = getattr(scene, injection.program)(*injection.words)
    scene.faults.close()
    assert code == expected.code and re.fullmatch(expected.err, err), err
    assert re.search(expected.out, scene.out), scene.out
    assert not list(scene.folder.rglob("*.tmp"))
    if expected.untouched:
        assert scene.files() == before
    if expected.recovers:
        if code:
            if has_checkpoint(scene.folder / "run"):
                assert load_newest_good(scene.folder / "run").record["step"] >= scene.saved
            assert scene.run("auto")[::2] == (0, "")
        assert left(scene.folder / "run", expected.curves) == left(scene.kept / "whole", expected.curves)
    assert expected.check(scene)


def test_every_fault_has_one_row():
    ids = [row.id for row in CATALOGUE]
    assert sorted(ids) == sorted(f"{group}{k}" for group, count in GROUPS.items() for k in range(1, count + 1))


def test_every_row_has_cases_or_tests_or_a_reason():
    assert not [row.id for row in CATALOGUE if bool(row.cases or row.tests) == bool(row.because)]


def test_the_tests_and_files_that_rows_name_are_there():
    hostile = (TESTS / "helpers" / "hostile.py").read_text()
    for row in CATALOGUE:
        for file, _, name in (test.partition("::") for test in row.tests):
            assert f"\ndef {name}(" in (TESTS / file).read_text(), f"{row.id}: {file}::{name}"
        for file in row.files:
            assert f'"{file}"' in hostile, f"{row.id}: {file}"


# Faults with a test of their own


def test_each_of_two_hundred_flipped_bits_is_caught(kept, tmp_path):
    good, chance = (kept / "whole" / "best.safetensors").read_bytes(), random.Random(0)
    for _ in range(200):
        (tmp_path / "flipped").write_bytes(flip(good, chance.random()))
        with pytest.raises(BadInput):
            checkpoint.load_checkpoint(tmp_path / "flipped")


def test_nothing_is_unpickled_or_unpacked_outside_of_torch_file():
    """torch_file.py, behind its gate, reads the entries of a zip in memory, and loads weights alone."""
    modules = {"pickle", "shelve", "marshal", "dill", "joblib", "zipfile", "tarfile"}
    calls = re.compile(r"(eval|exec|(torch|np|numpy|yaml)\.load|.*\b(extractall|unpack_archive|instantiate))")
    for path in (TESTS.parent / "lstmlm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & (modules - {"zipfile"} if path.name == "torch_file.py" else modules), path
            if isinstance(node, ast.Call) and calls.fullmatch(ast.unparse(node.func)):
                assert path.name == "torch_file.py" and "weights_only=True" in ast.unparse(node), path


def test_a_child_does_not_hold_the_lock(tmp_path):
    with lock_directory(tmp_path):
        child = subprocess.Popen(["sh", "-c", "echo up; read line"], stdin=-1, stdout=-1, close_fds=False)
        child.stdout.readline()
    with lock_directory(tmp_path) as free:
        assert free and child.poll() is None
    child.communicate()


def test_a_full_or_closed_stdout_ends_no_run_and_is_told_in_one_line(kept, tmp_path):
    def shell(words: str) -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "PYTHONUNBUFFERED": ""}
        done = subprocess.run(f"exec {sys.executable} {words}", shell=True, cwd=tmp_path, env=environment, stderr=-1)
        return done.returncode, done.stderr.decode()

    train = TESTS.parent / "train.py"
    assert shell(f"{train} {' '.join(SMALL)} hydra.run.dir=run >/dev/full") == (0, "")
    assert outcome(tmp_path / "run") == outcome(kept / "whole")
    assert shell("-m lstmlm generate run --prompt '' >/dev/full") == (4, "error: system: No space left on device\n")
    code, err = shell(f"{train} train.lr=-1 >&-")
    assert code == 2 and re.fullmatch(r"error: train\.lr: .*\n", err)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_run_outlives_a_stop_and_its_terminal(tmp_path):
    """Stopped; then its terminal, which has no width, is closed. With other hashes, and warnings errors."""
    import fcntl
    import pty
    import termios

    words = [*SMALL, "train.max_steps=300", "train.eval_every=100", "train.log_every=10"]
    place, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(TESTS.parent / "train.py"), *words, "hydra.run.dir=run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    screen = b""
    while b"step 100" not in screen:
        screen += os.read(place, 1000)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    os.close(place)  # which sends SIGHUP, and SIGCONT
    assert process.wait(60) == 0
    run_to_exit_code(lambda: start_run(composed_config(*words), None, tmp_path / "alone", named=True))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "alone")
