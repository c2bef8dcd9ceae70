"""A run that is killed anywhere is resumed bit for bit as if it had not been; nothing restarts in silence."""

import json
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from helpers.command_line import ROOT, SMALL_RUN, shell
from helpers.forms import PAIRS

from lstmlm.checkpoints import checkpoint
from lstmlm.system.durable import lock_directory
from lstmlm.training import trainer

# Torch and its fork server want one thread
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
AUTO = ("resume=auto", "hydra.run.dir=run")


def killing(tmp_path, *words: str, timeout: int = 240) -> dict:
    done = shell(
        "-m", "helpers.killing", words[0], str(tmp_path / words[0]), *words[1:], env=ONE_THREAD, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@posix
def test_a_kill_at_every_point_of_a_save_changes_nothing(tmp_path):
    result = killing(tmp_path, "one")
    assert result["points"] >= 16 and result["bad"] == {}


@posix
def test_a_signal_or_a_kill_during_an_evaluation_loses_no_step_and_changes_nothing(tmp_path):
    result = killing(tmp_path, "scoring")
    assert result == {"bad": {}, "steps": [13, 26, 39, 52, 65, 69, 69]}


@posix
def test_fifty_random_kills_change_nothing(tmp_path):
    result = killing(tmp_path, "random", "50")
    assert result["kills"] >= 50 and result["bad"] == {}


@posix
def test_forgetting_any_item_of_the_state_is_seen(tmp_path):
    betrayed = killing(tmp_path, "forget")
    assert betrayed.pop("None") == []
    assert len(betrayed) >= 13 and all(betrayed.values()), betrayed


@posix
@pytest.mark.slow
def test_a_kill_at_every_point_of_a_whole_run_changes_nothing(tmp_path):
    result = killing(tmp_path, "all", timeout=1800)
    assert result["points"] >= 140 and result["bad"] == {}


@posix
@pytest.mark.slow
def test_five_hundred_random_kills_change_nothing(tmp_path):
    result = killing(tmp_path, "random", "500", timeout=1800)
    assert result["kills"] >= 500 and result["bad"] == {}


# Through the command line


@pytest.fixture
def stopped(train, tmp_path, monkeypatch):
    """A run in run/ that got a Ctrl-C at step 30, between two evaluations."""
    step = trainer.Trainer.train_on_batch

    def interrupted(self, X, Y):
        step(self, X, Y)
        if self.state.step == 30:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", interrupted)
    code, _, err = train(*SMALL_RUN, "hydra.run.dir=run")
    assert (code, err) == (130, "stopped at step 30: saved run/last.safetensors: resume the run with resume=run\n")
    monkeypatch.setattr(trainer.Trainer, "train_on_batch", step)
    return tmp_path / "run"


def rows(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    clock = ("seconds", "cpu_seconds", "chars_per_s", "speed/")
    return [{key: v for key, v in json.loads(line).items() if not key.startswith(clock)} for line in lines]


def same_tensors(a, b) -> bool:
    one, other = checkpoint.load_checkpoint(a).tensors, checkpoint.load_checkpoint(b).tensors
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_stopped_run_goes_on_to_the_same_end(train, stopped, tmp_path):
    code, out, err = train("resume=run")
    assert (code, err) == (0, "") and "resuming from step 30" in out
    assert train(*SMALL_RUN, "hydra.run.dir=whole")[0] == 0
    assert rows(stopped) == rows(tmp_path / "whole")
    for name in ("best.safetensors", "last.safetensors"):
        assert same_tensors(stopped / name, tmp_path / "whole" / name)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_auto_starts_where_there_is_nothing_and_goes_on_where_there_is(train, stopped, tmp_path):
    code, out, _ = train(*SMALL_RUN, *AUTO)
    assert code == 0 and "resuming from step 30" in out
    code, out, _ = train(*SMALL_RUN, "resume=auto", "hydra.run.dir=new")
    assert code == 0 and "resuming" not in out
    code, _, err = train(*SMALL_RUN, "resume=auto")
    assert code == 2 and err.startswith("error: resume: auto needs a directory to look in")


def test_a_finished_run_says_so_and_can_be_prolonged(train, stopped):
    assert train("resume=run")[0] == 0
    before = rows(stopped)
    code, out, _ = train("resume=run")
    assert code == 0 and "the run has finished at step 40, at train.max_steps=40: raise it to continue" in out
    assert rows(stopped) == before
    code, out, _ = train("resume=run", "train.max_steps=60")
    assert code == 0 and "the horizon of the schedule changes from 40 steps to 60" in out
    assert [row["step"] for row in rows(stopped)] == [20, 40, 60, 60]


def test_a_run_that_its_seconds_ended_names_them_when_another_limit_is_raised(train, tmp_path):
    limits = ["train.max_steps=null", "train.max_epochs=500", "train.max_seconds=1e-6", "train.eval_every=1000000"]
    assert train(*SMALL_RUN, *limits, "hydra.run.dir=run")[0] == 0
    assert [row["step"] for row in rows(tmp_path / "run")] == [1, 1]  # one step, however short the time
    code, out, _ = train("resume=run", "train.max_epochs=600")
    assert code == 0 and ", at train.max_seconds=1e-06: raise it to continue" in out


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.num_hiddens=32", r"model\.num_hiddens is 24 in the run, 32 now"),
        ("seed=5", r"seed is 0 in the run, 5 now"),
        ("train.lr=0.5", r"train\.lr is 0\.01 in the run, 0\.5 now"),
        ("train.dropout=0.1", r"train\.dropout: no such setting"),
    ],
)
def test_a_setting_that_makes_another_run_is_refused_by_name(train, stopped, override, says):
    before = {path.name: path.read_bytes() for path in stopped.glob("*.safetensors")}
    code, _, err = train("resume=run", override)
    assert code == 2 and re.search(says, err) and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in stopped.glob("*.safetensors")} == before


def test_what_was_typed_before_may_be_typed_again(train, stopped):
    code, _, err = train("resume=run", *SMALL_RUN, "train.log_every=5", "train.baselines=false")
    assert (code, err) == (0, "")


def test_a_run_goes_on_on_another_backend_and_says_that_the_bits_will_differ(train, stopped, tmp_path):
    code, out, _ = train("resume=run", "backend=nn")
    assert code == 0 and "from here on not bit for bit: backend is nn, was scratch" in out
    assert train(*SMALL_RUN, "hydra.run.dir=whole")[0] == 0
    ours, theirs = rows(stopped)[-1], rows(tmp_path / "whole")[-1]
    assert ours["loss/val_best"] == pytest.approx(theirs["loss/val_best"], rel=1e-4)


@pytest.mark.parametrize(("cell", "first", "second"), PAIRS, ids=" ".join)
def test_every_form_goes_on_on_every_backend_of_its_cell(train, tmp_path, cell, first, second):
    """Weights and moments through the file: ten steps on one and ten on the other are twenty on either."""
    flat = ("train.schedule=constant", "train.warmup=0", f"model.cell={cell}", "model.num_layers=2", "train.lr=0.003")
    words = (*SMALL_RUN, *flat, "train.max_steps=20", "train.eval_every=10")
    assert train(*words, f"backend={first}", "hydra.run.dir=whole")[0] == 0
    assert train(*words, "train.max_steps=10", f"backend={first}", "hydra.run.dir=run")[0] == 0
    code, _, err = train("resume=run", f"backend={second}", "train.max_steps=20")
    assert (code, err) == (0, "")
    ours, theirs = rows(tmp_path / "run"), rows(tmp_path / "whole")
    for tag in ("loss/train", "loss/val"):
        assert [row[tag] for row in ours[:-1]] == pytest.approx([row[tag] for row in theirs[:-1]], rel=1e-4)


def test_a_file_alone_starts_a_new_run_where_it_stopped(train, stopped, tmp_path):
    shutil.copy(stopped / "last.safetensors", tmp_path / "alone.safetensors")
    shutil.rmtree(stopped)
    code, out, err = train("resume=alone.safetensors", "hydra.run.dir=next")
    assert (code, err) == (0, "") and "resuming from step 30" in out
    assert train(*SMALL_RUN, "hydra.run.dir=whole")[0] == 0
    assert same_tensors(tmp_path / "next" / "last.safetensors", tmp_path / "whole" / "last.safetensors")
    assert rows(tmp_path / "next")[-1]["step"] == 40


def test_without_one_good_checkpoint_nothing_is_restarted(train, stopped):
    for path in stopped.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    for resume in (("resume=run",), (*SMALL_RUN, *AUTO)):
        code, _, err = train(*resume)
        assert code == 2 and err.startswith("error: resume: no usable checkpoint in run (3 damaged)")


def test_the_text_is_known_by_its_hash(train, tmp_path):
    (tmp_path / "my.txt").write_text("the tide comes in, the tide goes out. " * 40)
    assert train("data=file", "data.path=my.txt", *SMALL_RUN, "hydra.run.dir=run")[0] == 0
    (tmp_path / "my.txt").rename(tmp_path / "moved.txt")
    code, _, err = train("resume=run", "train.max_steps=60")
    assert code == 2 and "the text of the run is not at" in err and "data.path=FILE" in err
    code, _, err = train("resume=run", "train.max_steps=60", "data.path=moved.txt")
    assert (code, err) == (0, "")
    (tmp_path / "moved.txt").write_text("the tide comes in, the tide goes out! " * 40)
    code, _, err = train("resume=run", "train.max_steps=80", "data.path=moved.txt")
    assert code == 2 and "is not the text of the run" in err


def test_a_run_in_use_is_not_resumed(train, stopped):
    with lock_directory(stopped) as free:
        assert free
        code, _, err = train("resume=run")
    assert code == 4 and err.startswith("error: run is in use by another run")


def test_what_cannot_be_resumed_is_one_line(train, tmp_path):
    (tmp_path / "empty").mkdir()
    for where, says in (("nothere", "no such file: nothere"), ("empty", "no checkpoint in empty")):
        code, _, err = train(f"resume={where}")
        assert code == 2 and says in err and err.count("\n") == 1


def test_a_run_killed_before_its_first_save_starts_again_in_its_directory(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".last.safetensors.1.tmp").write_bytes(b"half")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    assert train(*SMALL_RUN, "hydra.run.dir=run")[0] == 0
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_a_second_ctrl_c_stops_at_once_and_leaves_the_last_good_file(train, tmp_path, monkeypatch):
    save = checkpoint.save_last_checkpoint

    def interrupted(directory, tensors, record):
        if record["step"] == 30:
            signal.raise_signal(signal.SIGINT)
        save(directory, tensors, record)

    step = trainer.Trainer.train_on_batch

    def asked(self, X, Y):
        step(self, X, Y)
        if self.state.step == 30:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(checkpoint, "save_last_checkpoint", interrupted)
    monkeypatch.setattr(trainer.Trainer, "train_on_batch", asked)
    code, _, err = train(*SMALL_RUN, "hydra.run.dir=run")
    good = "run/last.safetensors is whole, of step 20: resume the run with resume=run"
    assert (code, err) == (130, f"stopped at once: {good}\n")
    assert checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["step"] == 20


@pytest.mark.slow
def test_real_processes_killed_through_the_command_line_end_as_if_not(tmp_path):
    words = [sys.executable, str(ROOT / "train.py"), *SMALL_RUN, "train.max_steps=400", "train.save_every=7", *AUTO]
    for delay in (6.0, 7.0, 8.0, 9.0, 10.0):
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert subprocess.run(words, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0
    reference = [*words[:-1], "hydra.run.dir=whole"]
    assert subprocess.run(reference, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert same_tensors(tmp_path / "run" / "last.safetensors", tmp_path / "whole" / "last.safetensors")
