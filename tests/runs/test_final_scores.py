"""The final figures are of the weights that they name, and cost what they say; patience ends a run where it should."""

import json
import re
import signal
import time

import pytest
from helpers.command_line import ROOT, SMALL_RUN

from lstmlm.checkpoints import checkpoint
from lstmlm.evaluation.scoring import Score
from lstmlm.runs import final_scores
from lstmlm.training import evaluator, trainer
from lstmlm.training.progress import format_sample

OFTEN = (*SMALL_RUN, "train.eval_every=4", "train.baselines=false")


@pytest.fixture
def gets_worse(monkeypatch):
    """The evaluations on the way: the first is the best, and an equal one is not better."""
    losses = iter([3.0, 3.1, 3.0, 3.2, 2.9])
    monkeypatch.setattr(evaluator, "score_with_bar", lambda model, pieces, about: Score(next(losses), 1))


def rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_last_line_scores_last_averaged_and_best_weights_under_their_names(
    gets_worse, train, command, tmp_path, threads
):
    code, out, _ = train(*OFTEN, "train.max_steps=12", "train.ema=0.5", f"threads={threads}", "hydra.run.dir=run")
    assert code == 0
    final, words = rows(tmp_path / "run")[-1], {"best": ("best",), "last": ("last",), "ema": ("last", "--ema")}
    assert final["step"] == 12 and final["best_step"] == 4
    for weights, (name, *option) in words.items():
        row = json.loads(command("evaluate", f"run/{name}.safetensors", *option, "--json")[1])
        for tag, key in (("loss", "nats"), ("bpc", "bits")):
            assert final[f"{tag}/val_{weights}"] == pytest.approx(row[f"{key}_per_char"], rel=1e-6)
        assert final[f"ppl/val_{weights}"] == pytest.approx(row["perplexity"], rel=1e-5)
        assert final[f"bpb/val_{weights}"] == pytest.approx(row["bits_per_byte"], rel=1e-6)
        assert re.search(rf"{row['perplexity']:.3f} +{row['nats_per_char']:.4f}", out)
    assert len({final[f"loss/val_{weights}"] for weights in words}) == 3
    assert {tag for tag in final if tag.startswith("loss/test")} == {"loss/test_best"}
    assert "│ val, last weights " in out and "│ val, average " in out


def test_the_sample_of_the_report_is_written_by_the_best_weights(gets_worse, train, command, tmp_path):
    code, out, _ = train(*OFTEN, "train.max_steps=12", "train.ema=0.5", "train.lr=0.1", "hydra.run.dir=run")
    assert code == 0
    best, last = rows(tmp_path / "run")[0]["sample"], rows(tmp_path / "run")[-2]["sample"]
    shown = out[out.index("a sample of it") :]
    for line in format_sample(best, 120)[:-1]:  # the report's own goes on where this one ends
        assert f"\n{line}\n" in shown
    assert f"\n{format_sample(last, 120)[1]}\n" not in shown


def test_where_the_last_weights_are_the_best_they_are_scored_once(train, tmp_path, monkeypatch):
    scored = []
    score = final_scores.score_weights
    monkeypatch.setattr(final_scores, "score_weights", lambda *words: scored.extend(words[1]) or score(*words))
    small = (*SMALL_RUN, "train.max_steps=8", "train.eval_every=4", "train.eval_chars=100")
    code, out, _ = train(*small, "hydra.run.dir=run")
    final = rows(tmp_path / "run")[-1]
    assert code == 0 and final["best_step"] == final["step"] == 8
    assert scored == ["val_best", "test_best", "train_best"] and final["loss/val_last"] == final["loss/val_best"]
    assert "best weights: step 8, the last, epoch 0.1 " in out and "last weights" not in out
    assert "val_ema" not in str(final)


def interrupted_at(monkeypatch, step):
    """Ctrl-C in that step of the next run."""
    train_step = trainer.Trainer.train_on_batch

    def interrupted(self, X, Y):
        train_step(self, X, Y)
        if self.state.step == step:
            monkeypatch.setattr(trainer.Trainer, "train_on_batch", train_step)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", interrupted)


@pytest.mark.parametrize("stop", [None, 6, 10, 12])
def test_patience_ends_a_run_at_the_same_evaluation_stopped_or_not(gets_worse, train, tmp_path, monkeypatch, stop):
    if stop:
        interrupted_at(monkeypatch, stop)
        code = train(*OFTEN, "train.patience=2", "hydra.run.dir=run")[0]
        assert code == 130
    code, out, err = train("resume=run") if stop else train(*OFTEN, "train.patience=2", "hydra.run.dir=run")
    *evaluations, final = rows(tmp_path / "run")
    assert (code, err) == (0, "")
    assert [row["step"] for row in evaluations] == [4, 8, 12] and final["step"] == 12
    assert "ends early: 2 evaluations without a better one than that of step 4 (train.patience)" in out


def test_patience_may_be_raised_and_the_run_goes_on(gets_worse, train, tmp_path):
    assert train(*OFTEN, "train.max_steps=16", "train.patience=1", "hydra.run.dir=run")[0] == 0
    assert rows(tmp_path / "run")[-1]["step"] == 8
    code, out, err = train("resume=run", "train.patience=2")
    assert (code, err) == (0, "") and "resuming from step 8" in out and rows(tmp_path / "run")[-1]["step"] == 12


@pytest.mark.parametrize("setting", ["ema=0.9", "micro_batches=2", "precision=bf16", "schedule=linear"])
def test_what_makes_another_run_is_refused_on_resume_by_name(train, setting):
    assert train(*SMALL_RUN, "train.max_steps=2", "hydra.run.dir=run")[0] == 0
    code, _, err = train("resume=run", f"train.{setting}", "train.max_steps=4")
    assert code == 2 and err.startswith(f"error: resume: train.{setting.split('=')[0]} is ") and err.count("\n") == 1


def test_cpu_seconds_are_those_of_all_steps_before_and_after_a_resume_and_of_no_other_run(train, tmp_path, monkeypatch):
    """The clock here is one that moves by a second a step."""
    now = [0.0]
    train_step = trainer.Trainer.train_on_batch

    def ticking(self, X, Y):
        train_step(self, X, Y)
        now[0] += 1

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", ticking)
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    short = (*SMALL_RUN, "train.max_steps=8", "train.eval_every=4")
    assert train(*short, "hydra.run.dir=a")[0] == 0
    interrupted_at(monkeypatch, 5)
    assert train(*short, "hydra.run.dir=b")[0] == 130
    assert checkpoint.load_checkpoint(tmp_path / "b" / "last.safetensors").record["loop"]["cpu_seconds"] == 5
    now[0] = 1000.0  # of something else in between
    assert train("resume=b")[0] == 0
    assert [rows(tmp_path / name)[-1]["cpu_seconds"] for name in "ab"] == [8, 8]


def test_of_a_file_from_before_the_clock_the_cpu_time_is_unknown(train, tmp_path):
    old = ROOT / "tests" / "fixtures" / "format1.safetensors"
    assert train(f"resume={old}", "train.max_steps=4", "hydra.run.dir=next")[0] == 0
    assert rows(tmp_path / "next")[-1]["cpu_seconds"] is None
