"""A user's mistake is one line on stderr that names the thing and what would do, and an exit code; nothing is left."""

import errno
import os
import re
import sys

import pytest
from helpers.command_line import ROOT, SMALL_RUN, shell

from lstmlm.system import errors
from lstmlm.system.durable import lock_directory, name_refusals

NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes."
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


def words_of(value) -> str:
    return " ".join(value) if isinstance(value, list) else ""


# (overrides, what the line says)
SETTINGS = [
    (["backend=foo"], r"backend=foo: no such option: choose one of cell, fused, nn, scratch"),
    (
        ["data=poems"],
        r"data=poems: no such option: choose one of enwik8, file, names, ptb_char, text8, tide_clock, time_machine",
    ),
    (["experiment=foo"], r"experiment=foo: no such option: choose one of d2l"),
    (
        ["model.cell=gru", "backend=cell"],
        r"backend: there is no gru on cell: there are lstm on scratch, nn, cell, fused; gru",
    ),
    (["model.cell=gru", "model.gru_reset=before", "backend=nn"], r"backend: there is no gru_before on nn: "),
    (["model.gru_reset=before"], r"model\.gru_reset: has no effect with model\.cell=lstm"),
    (["train.max_epochs=null"], r"train\.max_epochs: no limit is set: set train\.max_epochs, train\.max_steps"),
    (["train.optimizer=adam"], r"train\.optimizer: no such option 'adam': choose one of sgd, adamw"),
    (["data.sampling=shuffled"], r"data\.sampling: no such option 'shuffled': choose one of sequential, random"),
    (["device=tpu"], r"device: no such option 'tpu': choose one of auto, cpu, cuda, mps"),
    (["seed=-1"], r"seed: "),
    (["data.path=my.txt"], r"data\.path: has no effect with data=tide_clock: add data=file"),
    (["data=file"], r"data\.path: data=file needs a text"),
    (["data.name=poems"], r"data\.name: no such text: 'poems': choose one with data=NAME"),
    (["data.split=[0.9,0.05,0.5]"], r"data\.split: "),
    (["data.split=thirds"], r"data\.split: 'thirds': give fractions"),
    (["train.lr"], r"train\.lr: cannot be read as a setting: type train\.lr=VALUE"),
    (["model.init=Ω"], r"model\.init=Ω: cannot be read as a setting: type \"model\.init='Ω'\""),
    (["seed=1,2"], r"seed=1,2: several values are a sweep, python train.py -m; for a list type seed=\[1,2\]"),
    (["-m", "--cfg", "job"], r"-m: has no effect where nothing is run: leave it out"),
    (["--foo"], r"\S+: unrecognized arguments: --foo"),
]


@pytest.mark.parametrize(("overrides", "says"), SETTINGS, ids=words_of)
def test_a_setting_that_cannot_be_is_one_line(train, tmp_path, overrides, says):
    code, out, err = train(*overrides)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {says}.*\n", err), err
    assert not list(tmp_path.rglob("*.*")), "something was written"


ODD_NAMES = [
    "it's.txt",
    "a,b.txt",
    "foo(1).txt",
    "naïve ☃.txt",
    "two words.txt",
    "a=b.txt",
    "[x].txt",
    "{y}.txt",
    'q"q.txt',
    "back\\slash'.txt",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_file_names_work_as_typed(train, tmp_path, name):
    (tmp_path / name).write_text("the tide comes in, the tide goes out. " * 40)
    code, out, err = train(
        "data=file", f"data.path={name}", *SMALL_RUN, "train.max_steps=1", "hydra.run.dir=an odd (place)"
    )
    assert (code, err) == (0, "")
    assert name in out and (tmp_path / "an odd (place)" / "best.safetensors").exists()


def test_a_short_text_shrinks_the_batch_and_says_so(train, tmp_path):
    (tmp_path / "short.txt").write_text("the tide comes in, the tide goes out. " * 20)
    code, out, _ = train("data=file", "data.path=short.txt", *SMALL_RUN, "train.max_steps=2")
    assert code == 0 and "data.batch_size: lowered from 16 to 10" in out


def test_held_out_characters_that_train_lacks_are_counted(train, tmp_path):
    (tmp_path / "odd.txt").write_text("the tide comes in, the tide goes out. " * 40 + "ZZZ" * 15)
    whole = ("data.split=[0.9,0.05,0.05]", "train.max_steps=2")
    code, out, _ = train("data=file", "data.path=odd.txt", *SMALL_RUN, *whole)
    assert code == 0 and re.search(r"warning: test has \d+ characters that train lacks", out)


def test_a_directory_with_a_checkpoint_is_refused_and_untouched(train, tmp_path):
    assert train(*SMALL_RUN, "train.max_steps=1", "hydra.run.dir=run")[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    code, _, err = train(*SMALL_RUN, "hydra.run.dir=run", "seed=5")
    assert code == 2 and re.fullmatch(r"error: hydra\.run\.dir: run holds a checkpoint already: .*\n", err)
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_directory_in_use_is_refused(train, tmp_path):
    (tmp_path / "run").mkdir()
    with lock_directory(tmp_path / "run") as free:
        assert free
        code, _, err = train(*SMALL_RUN, "hydra.run.dir=run")
    assert code == 4 and re.fullmatch(r"error: run is in use by another run: .*\n", err)


def test_two_runs_in_the_same_second_have_two_directories(train, tmp_path):
    same_second = "hydra.sweep.dir=sweep", "hydra.sweep.subdir=one", "-m", "seed=1,2", "train.max_steps=1"
    assert train(*SMALL_RUN, *same_second)[0] == 0
    assert {path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()} == {"one", "one_2"}


# (words after the checkpoint, what the line says)
SAMPLING = [
    (["--length", "many"], r"lstmlm generate: argument --length: 'many' is neither a number nor inf"),
    (["--seed", "-5"], r"--seed: must be 0 or more, got -5"),
    (["--backend", "fast"], r"lstmlm generate: argument --backend: invalid choice: 'fast'"),
    (["--colour"], r"lstmlm generate: unrecognized arguments: --colour: did you mean --color\?"),
]


@pytest.mark.parametrize(("words", "says"), SAMPLING, ids=words_of)
def test_a_sampling_setting_that_cannot_be_is_one_line(run_directory, command, words, says):
    code, out, err = command("generate", str(run_directory), *words)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {says}.*\n", err), err


def test_a_run_without_a_checkpoint_and_a_missing_file_are_named(command, tmp_path, monkeypatch):
    assert command("generate", str(tmp_path))[::2] == (
        2,
        f"error: checkpoint: {tmp_path} has no best.safetensors: give a run directory or a .safetensors file\n",
    )
    monkeypatch.chdir(tmp_path)
    missing = "error: checkpoint: no such file: nothere: give a run directory or a checkpoint\n"
    assert command("evaluate", "nothere")[::2] == (2, missing)


def test_a_text_that_changed_since_the_run_is_not_scored_in_silence(train, command, tmp_path):
    (tmp_path / "my.txt").write_text("the tide comes in, the tide goes out. " * 40)
    assert train("data=file", "data.path=my.txt", *SMALL_RUN, "train.max_steps=1", "hydra.run.dir=run")[0] == 0
    assert command("evaluate", "run")[0] == 0
    (tmp_path / "my.txt").write_text("another text, another text, another text. " * 40)
    code, _, err = command("evaluate", "run")
    assert code == 2 and "has changed since the run" in err and "--file" in err
    (tmp_path / "my.txt").unlink()
    code, _, err = command("evaluate", "run")
    assert code == 2 and "no such file" in err and "--file FILE --split val" in err


def test_a_bug_is_one_line_and_the_traceback_is_in_the_log(train, tmp_path, monkeypatch):
    monkeypatch.setattr("lstmlm.training.evaluator.collect_gate_openings", lambda *_: 1 / 0)
    code, _, err = train(*SMALL_RUN, "hydra.run.dir=run")
    assert code == 1 and err.startswith("error: a bug in lstmlm: ZeroDivisionError") and err.count("\n") == 1
    assert "Traceback" in (tmp_path / "run" / "train.log").read_text()


# One process for each exit code, as a user starts it


def test_exit_0_and_a_reader_that_leaves_early_is_no_error(run_directory):
    words = ["-m", "lstmlm", "generate", str(run_directory), "--prompt", "", "--length", "3000"]
    done = shell(
        "-c",
        "import subprocess, sys; p = subprocess.Popen([sys.executable, *sys.argv[1:]], "
        "stdout=subprocess.PIPE); p.stdout.read(10); p.stdout.close(); sys.exit(p.wait())",
        *words,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_exit_2_from_train_and_from_a_command(tmp_path):
    for words in ((str(ROOT / "train.py"), "train.lrr=1"), ("-m", "lstmlm", "generate", "nothere")):
        done = shell(*words, cwd=tmp_path)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_text_on_an_ascii_terminal_is_escaped(train, tmp_path):
    (tmp_path / "my.txt").write_text("наступает прилив, уходит отлив. " * 60, encoding="utf-8")
    assert train("data=file", "data.path=my.txt", *SMALL_RUN, "hydra.run.dir=run")[0] == 0
    done = shell(
        "-m",
        "lstmlm",
        "generate",
        str(tmp_path / "run"),
        "--prompt",
        "прилив",
        env=ASCII,
    )
    assert done.returncode == 0 and done.stdout.startswith("\\u043f") and done.stderr == ""
    done = shell(
        str(ROOT / "train.py"),
        "data=file",
        "data.path=my.txt",
        *SMALL_RUN,
        cwd=tmp_path,
        env=ASCII,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_gets_escapes_and_a_pipe_gets_the_text(train, command, tmp_path, monkeypatch):
    (tmp_path / "my.txt").write_text("a\x1b[2J" * 300)
    assert train("data=file", "data.path=my.txt", *SMALL_RUN, "hydra.run.dir=run")[0] == 0
    code, out, _ = command("generate", "run", "--prompt", "a\x1b", "--length", "30", "--temperature", "0")
    assert code == 0 and out.startswith("a\x1b") and len(out) == 32
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, _ = command("generate", "run", "--prompt", "a\x1b", "--length", "30", "--temperature", "0")
    assert code == 0 and out.startswith("a\\x1b") and "\x1b" not in out and out.endswith("\n")


def test_hydra_full_error_shows_the_traceback_of_a_bug(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ZeroDivisionError):
        errors.run_to_exit_code(lambda: 1 / 0)


def test_only_a_mistake_of_the_user_is_a_value_error():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert {errors.BadInput, errors.Diverged, errors.EnvironmentFault, errors.Stopped} < set(kinds)
    assert [kind for kind in kinds if issubclass(kind, ValueError)] == [errors.BadInput]


@pytest.mark.parametrize("failed", [MemoryError(), RuntimeError("CUDA out of memory. Tried"), RuntimeError(NO_MEMORY)])
def test_memory_that_is_short_is_one_line_with_the_advice_of_the_command(capsys, failed):
    def job() -> None:
        raise failed

    assert errors.run_to_exit_code(job) == 4
    assert errors.run_to_exit_code(errors.advise_on_memory("lower --samples")(job)) == 4
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: out of memory: free memory on this machine"
    assert second == "error: out of memory: lower --samples"


def test_an_error_that_is_none_of_memory_passes_the_advice_unchanged():
    for error in (errors.BadInput("out of memory.txt: no such file"), KeyError("out of memory")):
        with pytest.raises(type(error)) as caught, errors.advise_on_memory("lower --samples"):
            raise error
        assert caught.value is error


def test_what_the_disk_refuses_is_advised_by_its_reason(tmp_path):
    for number, advice in [
        (errno.ENOSPC, "No space left on device: free space there, or write to another folder"),
        (errno.EROFS, "Read-only file system: write to another folder"),
    ]:
        with pytest.raises(errors.EnvironmentFault) as caught, name_refusals(tmp_path / "out.safetensors"):
            raise OSError(number, os.strerror(number))
        assert str(caught.value) == f"cannot write {tmp_path / 'out.safetensors'}: {advice}"


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(["torch", "hydra", "omegaconf", "tensorboard"])  # an import of them fails
from lstmlm.__main__ import main
main()
"""


def test_text_is_generated_where_only_the_small_packages_are_installed():
    done = shell("-c", WITHOUT, "generate", "names", "--documents", "2")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(("words", "name"), [(["check"], "torch"), (["baselines", "x.txt"], "torch")])
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(words, name):
    done = shell("-c", WITHOUT, *words)
    assert done.returncode == 4
    assert done.stderr.splitlines() == [f"error: {name} is not installed: pip install {name}"]


def test_the_packages_that_are_named_are_those_that_the_project_needs():
    needed = re.search(r"\ndependencies = \[(.*?)\n\]", (ROOT / "pyproject.toml").read_text(), re.S)[1]
    assert set(errors.PACKAGES.values()) == set(re.findall(r'^ *"([\w-]+)', needed, re.M))
