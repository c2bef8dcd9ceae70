"""The run: what it leaves behind, which weights are best, how it stops."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from helpers.command_line import ROOT, SMALL_RUN, TINY
from helpers.forms import every_form
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils._python_dispatch import TorchDispatchMode

from lstmlm.checkpoints import checkpoint
from lstmlm.training import clock, evaluator, step, stream_step, trainer


def rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def row_keys(evaluations):
    return set.intersection(*(set(row) for row in evaluations))


def test_a_run_leaves_three_checkpoints_settings_log_metrics_and_curves(run_directory):
    names = {path.name.split(".")[0] for path in run_directory.iterdir()}
    assert {"best", "last", "previous", "config", "train", "metrics", "events"} <= names
    assert not list(run_directory.glob("*.tmp"))
    assert checkpoint.load_checkpoint(run_directory / "last.safetensors").record["step"] == 40
    assert checkpoint.load_checkpoint(run_directory / "previous.safetensors").record["step"] == 20


def test_metrics_have_a_row_for_each_evaluation_and_end_with_the_final_figures(run_directory):
    *evaluations, final = rows(run_directory)
    assert [row["step"] for row in evaluations] == [20, 40]
    assert {"loss/train", "ppl/val", "optim/lr", "optim/grad_norm", "optim/clipped", "gates/layer0_F"} <= row_keys(
        evaluations
    )
    assert final["final"] is True and final["state"] == "finished"
    assert {"loss/val_best", "bpc/val_best", "ppl/val_best", "ppl/test_best", "seconds", "chars_per_s"} <= final.keys()
    assert 1 < final["ppl/val_best"] < 63


def test_the_screen_tells_the_story_and_the_next_commands(run_directory):
    screen = (run_directory / "screen.txt").read_text()
    final = rows(run_directory)[-1]
    backend = run_directory.name
    assert f"model: {backend} LSTM" in screen
    assert re.search(r"^step 0  before training\n  \S", screen, re.M)
    assert re.search(r"^step 40  epoch 0\.3  train \d\.\d{3}  val \d\.\d{3}  ppl \d+\.\d\d \*\n  \S", screen, re.M)
    assert re.search(rf"^│ val +{final['ppl/val_best']:.3f} +{final['loss/val_best']:.4f} ", screen, re.M)
    assert f", {final['chars_per_s']:,.0f} characters per second of training on cpu" in screen
    assert re.search(r"^next: +\S.* generate ", screen, re.M) and "tensorboard --logdir" in screen


def test_the_log_says_of_which_text_each_score_is_with_all_its_digits(run_directory):
    text = (run_directory / "train.log").read_text()
    assert re.search(
        r"val_best: perplexity .* over 8,200 characters \(split 0\.9/0\.05/0\.05, hash [0-9a-f]{12}\)", text
    )
    assert re.search(r"step 40: train ppl .* val ppl .* nats, .* bits/char, .* bits/byte \([0-9a-f]{8}\)", text)


def test_tensorboard_reads_back_what_metrics_say(run_directory):
    curves = EventAccumulator(str(run_directory), size_guidance={"scalars": 0}).Reload()
    tags = set(curves.Tags()["scalars"])
    for metric in ("loss", "ppl"):
        assert {f"{metric}/train", f"{metric}/val", f"{metric}/ngram"} <= tags
    assert {"optim/lr", "optim/grad_norm", "optim/clipped", "speed/chars_per_s", "progress/epoch"} <= tags
    assert {"network/gates/layer0_I", "network/gates/layer0_F", "network/gates/layer0_O"} <= tags
    assert min(tags).startswith("loss/")  # which TensorBoard therefore shows first
    evaluations = {row["step"]: row for row in rows(run_directory)[:-1]}
    for tag, key in (("loss/val",) * 2, ("ppl/val",) * 2, ("network/gates/layer0_F", "gates/layer0_F")):
        written = {event.step: event.value for event in curves.Scalars(tag)}
        assert written == pytest.approx({step: row[key] for step, row in evaluations.items()}, rel=1e-6)
    assert {event.step for event in curves.Scalars("loss/train")} == {10, 20, 30, 40}
    assert all(len(curves.Scalars(tag)) >= 2 for tag in tags)  # no chart with a single dot
    assert {"sample/text_summary", "settings/text_summary"} <= set(curves.Tags()["tensors"])
    hparams = curves.PluginTagToContent("hparams")
    assert set(hparams) >= {"_hparams_/experiment", "_hparams_/session_end_info"}
    session = HParamsPluginData.FromString(hparams["_hparams_/session_start_info"]).session_start_info.hparams
    assert session["= val perplexity"].number_value == pytest.approx(rows(run_directory)[-1]["ppl/val_best"])
    assert {"backend", "seed", "train.lr", "train.max_steps"} <= set(session) and "train.log_every" not in session
    assert not [path for path in run_directory.iterdir() if path.is_dir()]  # hparams did not open a second run


def test_best_is_the_lowest_validation_loss_not_the_last(train, tmp_path):
    # A rate that is far too high at once, then nothing gained: the first evaluation is the best
    code, _, _ = train(*SMALL_RUN, "train.lr=0.5", "train.schedule=constant", "hydra.run.dir=run")
    assert code == 0
    *evaluations, final = rows(tmp_path / "run")
    best = min(evaluations, key=lambda row: row["loss/val"])
    assert final["best_step"] == best["step"]
    record = checkpoint.load_checkpoint(tmp_path / "run" / "best.safetensors").record
    assert record["step"] == best["step"] and record["metrics"]["loss/val"] == best["loss/val"]


def test_the_same_seed_gives_the_same_run_and_another_another(train, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(*SMALL_RUN, f"hydra.run.dir={name}", f"seed={seed}", "model.dropout=0.3")[0] == 0
    a, b, c = (checkpoint.load_checkpoint(tmp_path / name / "last.safetensors").tensors for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["layers.0.W_xi"], c["layers.0.W_xi"])


def test_both_backends_follow_the_same_curve(train, tmp_path):
    for backend in ("scratch", "nn"):
        assert train(*SMALL_RUN, f"backend={backend}", f"hydra.run.dir={backend}", "model.dropout=0.3")[0] == 0
    for row, other in zip(rows(tmp_path / "scratch"), rows(tmp_path / "nn"), strict=True):
        tags = [tag for tag in row if tag.startswith(("loss", "ppl", "gates"))]
        assert tags and {tag: row[tag] for tag in tags} == pytest.approx({tag: other[tag] for tag in tags}, rel=1e-4)


def test_a_step_does_not_wait_for_the_device(train, monkeypatch):
    """Reading a number out of a tensor waits: it is done at logging steps, in no training step."""
    waits = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            waits.append(function is torch.ops.aten._local_scalar_dense.default)
            return function(*args, **(kwargs or {}))

    train_on_batch = trainer.Trainer.train_on_batch

    def watched(self, X, Y):
        with Watch():
            return train_on_batch(self, X, Y)

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", watched)
    assert train(*SMALL_RUN, "train.max_steps=12", "model.dropout=0.3")[0] == 0
    assert len(waits) > 1000 and not any(waits)


@every_form
def test_every_form_trains_and_writes(train, command, tmp_path, cell, backend):
    model = ["model.cell=gru", "model.gru_reset=before"] if cell == "gru_before" else [f"model.cell={cell}"]
    once = (*SMALL_RUN, "train.max_steps=20", "train.lr=0.03", "model.num_layers=2", "hydra.run.dir=run")
    assert train(*once, *model, f"backend={backend}")[0] == 0
    assert rows(tmp_path / "run")[-1]["ppl/val_best"] < 30
    code, text, _ = command("generate", "run", "--prompt", "The ", "--length", "20")
    assert code == 0 and len(text) == 24


def test_random_windows_train_too(train, tmp_path):
    assert train(*SMALL_RUN, "data.sampling=random", "hydra.run.dir=run")[0] == 0
    assert rows(tmp_path / "run")[-1]["ppl/val_best"] < 25


def test_a_time_limit_ends_the_run(train, tmp_path):
    code, _, _ = train(
        *SMALL_RUN, "train.max_steps=null", "train.max_epochs=null", "train.max_seconds=2", "hydra.run.dir=r"
    )
    final = rows(tmp_path / "r")[-1]
    assert code == 0 and final["final"] and final["state"] == "out of time"


def test_divergence_ends_with_the_step_and_leaves_the_last_good_checkpoint(train, tmp_path, monkeypatch):
    compute_norm, train_step, calls = step.compute_norm, stream_step.train_step, []

    def poison(params):
        params[0].grad[0] = float("nan")
        return compute_norm(params)

    def poisoned(*arguments):
        calls.append(None)
        with monkeypatch.context() as patch:
            if len(calls) == 33:
                patch.setattr(step, "compute_norm", poison)
            return train_step(*arguments)

    monkeypatch.setattr(stream_step, "train_step", poisoned)
    code, _, err = train(*SMALL_RUN, "hydra.run.dir=run")
    assert code == 3
    assert re.fullmatch(r"error: training diverged at step 33: .*\n", err)
    assert [row["step"] for row in rows(tmp_path / "run")[:-1]] == [20]
    assert rows(tmp_path / "run")[-1] == {"state": "diverged", "step": 40}  # it is found at the next reading
    assert checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["step"] == 20
    assert checkpoint.load_checkpoint(tmp_path / "run" / "best.safetensors").record["step"] == 20


@pytest.mark.parametrize("every", ["train.save_every=3", "train.eval_every=3"])
def test_a_weight_that_is_not_finite_is_not_saved(train, tmp_path, monkeypatch, every):
    """The loss of the step is finite still: only the save looks at the weights."""
    train_on_batch = trainer.Trainer.train_on_batch

    def poisoned(self, X, Y):
        train_on_batch(self, X, Y)
        if self.state.step == 3:
            self.learner.params[0].data[0] = float("nan")

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", poisoned)
    code, _, err = train(*TINY, "train.eval_every=4", every, "hydra.run.dir=run")
    assert code == 3 and err.startswith("error: training diverged at step 3: ")
    assert checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["step"] == 0
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_and_says_where(tmp_path, number, code):
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *SMALL_RUN, "train.max_steps=100000", "hydra.run.dir=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if line.startswith("step 20"):
            break
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    match = re.fullmatch(r"stopped at step (\d+): saved run/last\.safetensors: resume the run with resume=run\n", err)
    assert match, err
    assert checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["step"] == int(match[1]) >= 20
    assert rows(tmp_path / "run")[-1] == {"state": "stopped", "step": int(match[1])}


@pytest.mark.parametrize("backend", ["scratch", "nn"])
def test_the_books_run_prints_the_books_line_and_what_it_leaves_out(train, tmp_path, backend):
    """On a text of its own, short: the real run is in benchmarks/."""
    text = "the time traveller for so it will be convenient to speak of him was expounding a matter to us\n"
    (tmp_path / "book.txt").write_text(text * 60)
    code, out, _ = train(
        "experiment=d2l",
        f"backend={backend}",
        "data.path=book.txt",
        "data.split=[[0,2400],[2400,3600],[3600,4800]]",
        "train.max_epochs=8",
        "train.eval_every=8",
        "model.num_hiddens=16",
        "hydra.run.dir=run",
    )
    assert code == 0
    assert re.search(r"^perplexity \d+\.\d, \d+\.\d tokens/sec on cpu$", out, re.M)
    assert re.search(r"^time traveller[a-z ]{50}$", out, re.M) and re.search(r"^traveller[a-z ]{50}$", out, re.M)
    assert re.search(r"^val was best at epoch \d+: perplexity", out, re.M)
    assert {"ppl/book", "ppl/train_last", "ppl/val_last", "ppl/test_last"} <= rows(tmp_path / "run")[-1].keys()


def test_samples_take_time_of_the_run_and_none_of_training(train, tmp_path, monkeypatch):
    wall, write = [0.0], evaluator.SampleSettings.write

    def tick() -> float:
        wall[0] += 0.001
        return wall[0]

    def write_slowly(*words) -> str:
        wall[0] += 100
        return write(*words)

    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=tick, process_time=time.process_time))
    monkeypatch.setattr(evaluator.SampleSettings, "write", write_slowly)
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    loop = checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["loop"]
    assert loop["training_seconds"] < 1 and loop["seconds"] > 300


def test_the_best_weights_are_found_anew_where_those_of_an_earlier_step_are_not_there(train, tmp_path):
    assert train(*TINY, "train.save_every=3", "hydra.run.dir=run")[0] == 0
    earlier = checkpoint.load_checkpoint(tmp_path / "run" / "previous.safetensors")
    assert (earlier.record["step"], earlier.record["metrics"]["step"]) == (3, 2)
    earlier.record["metrics"]["loss/val"] = 0.5  # better than any evaluation that follows
    checkpoint.save_checkpoint(tmp_path / "alone.safetensors", earlier.tensors, earlier.record)
    assert train("resume=alone.safetensors", "hydra.run.dir=next")[0] == 0
    assert checkpoint.load_checkpoint(tmp_path / "next" / "best.safetensors").record["step"] == 4
