"""The screen of a run: lines of 80 columns, samples at a human pace, and a run that is the same whatever is shown."""

import itertools
import re

import pytest
import torch
from helpers.command_line import TINY

from lstmlm.checkpoints import checkpoint
from lstmlm.evaluation.scoring import Score
from lstmlm.training import progress
from lstmlm.training.plan import Limits
from lstmlm.training.progress import Progress, choose_gap, format_sample


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: clock[0] are the seconds."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(progress.log, "info", lambda text, *values: lines.append(text % values))
    return lines


def test_no_more_than_20_seconds_pass_between_two_lines_of_a_run_of_less_than_ten_minutes():
    assert [choose_gap(seconds) for seconds in (None, 599, 100, 60, 10)] == [20, 20, 20, 12, 4]
    assert choose_gap(3600) == 120


@pytest.mark.parametrize("eval_every", [3, 40, 1000])
@pytest.mark.parametrize("expected", [60.0, 300.0])
def test_lines_come_at_a_human_pace_however_far_apart_evaluations_are(clock, logged, eval_every, expected):
    """A run of a step a second: the times at which lines are shown, previews and evaluations alike."""
    shown = Progress(Limits(max_steps=int(expected)), 1000, False, expected)
    shown.show_start("a sample")
    times = [0.0]
    for step in range(1, int(expected) + 1):
        clock[0] = float(step)
        shown.advance(step, clock[0])
        if step % eval_every == 0 or step == expected:
            shown.show_evaluation(0.5, 1.5, False, "a sample")
        elif shown.is_preview_due(eval_every - step % eval_every):
            shown.show_preview(0.5, 1.5, "a sample", 0.01)
        else:
            continue
        times.append(clock[0])
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 20 and len(times) >= 4
    assert len(times) <= expected / min(eval_every, 4) + 2
    if eval_every == 3:
        assert not any("~" in line for line in logged), "evaluations come often enough"


def test_previews_that_take_long_come_rarely(clock):
    shown = Progress(Limits(max_steps=1000), 1000, False, 100.0)
    shown.show_preview(0.1, 1.5, "a sample", 1.0)
    assert shown.gap == pytest.approx(100)


def test_the_lines_fit_80_columns(monkeypatch, clock, logged):
    monkeypatch.setenv("COLUMNS", "80")
    for steps, dropout in ((12_345, True), (1_234_567, False)):
        shown = Progress(Limits(max_steps=steps), 1000, dropout, 1e4)
        shown.show_legend()
        shown.advance(0, 0.0)
        shown.count(Score(1234.5, 1000), 12345.0)
        shown.advance(steps // 100, 100.0)
        shown.show_evaluation(steps / 1e5, 1.5, True, "word " * 60)
        shown.show_preview(99.9, 1.5, "a" * 300, 0.1)
        bar = shown.describe_position(80 - progress.BAR_ROOM)
        assert len(bar) <= 62 and bar.startswith(f"step {steps // 100:,} of {steps:,}, ") and " left" in bar
    assert max(len(line) for text in logged for line in text.splitlines()) <= 80
    assert any(
        re.fullmatch(r"step 123  epoch 0\.1  train 1\.234  val 1\.500  ppl 4\.48 \*  \d.* left", x) for x in logged
    )


def test_the_bar_counts_seconds_where_time_is_the_limit(clock):
    shown = Progress(Limits(max_epochs=10, max_seconds=20.0), 144, False, 20.0)
    shown.advance(10, 5.0)
    assert shown.describe_position(62).startswith("5 of 20 s, 15 s left")
    shown.advance(1400, 6.0)
    assert shown.describe_position(62).startswith("step 1,400 of 1,440")


def test_a_sample_keeps_its_line_ends_and_loses_its_empty_lines_and_controls():
    assert format_sample("one\n\n\ttwo\x1b[2J", 80) == ["  one", "      two\\x1b[2J"]


def test_a_sample_leaves_the_last_column_free_and_no_other():
    assert set(map(len, format_sample("x" * 7 * 77, 80))) == {79}
    assert len(format_sample("x" * 77, 80)) == 1 and len(format_sample("x" * 78, 80)) == 2


def test_hebrew_and_arabic_samples_are_shown_as_they_are():
    text = "שלום\u200f, (world)\u200e مرحبا\u061c"
    assert format_sample(text, 80) == [f"  {text}"]


def test_previews_do_not_change_the_run(train, tmp_path, monkeypatch):
    """Bit for bit, dropout and all: with a preview after every step, and with none."""
    run = (*TINY, "train.max_steps=8", "train.eval_every=4", "model.dropout=0.3", "train.ema=0.9")
    for name, due in (("with", True), ("without", False)):
        monkeypatch.setattr(Progress, "is_preview_due", lambda self, steps, due=due: due)
        code, out, _ = train(*run, f"hydra.run.dir={name}")
        assert code == 0 and ("val ~" in out) == due
    with_previews, without = (
        checkpoint.load_checkpoint(tmp_path / n / "last.safetensors") for n in ("with", "without")
    )
    assert with_previews.tensors.keys() == without.tensors.keys()
    assert all(torch.equal(tensor, without.tensors[name]) for name, tensor in with_previews.tensors.items())
    rows = [(tmp_path / n / "metrics.jsonl").read_text().count("\n") for n in ("with", "without")]
    assert rows[0] == rows[1]


def test_a_run_shows_noise_first_and_then_a_sample_at_each_evaluation_from_the_same_prompt(train, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = train(*TINY, "sample.length=200", "sample.prompt=The tide", "hydra.run.dir=run")
    lines = out.splitlines()
    heads = [k for k, line in enumerate(lines) if line.startswith("step ")]
    assert code == 0 and [lines[k].split()[1] for k in heads] == ["0", "2", "4"]
    assert all(lines[k + 1].startswith("  The tide") for k in heads)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("has_dropout", "says"), [(True, "line before, under dropout;"), (False, "line before;")])
def test_the_legend_says_whether_dropout_acts_on_the_loss_of_training(clock, logged, has_dropout, says):
    Progress(Limits(max_steps=10), 10, has_dropout).show_legend()
    assert logged[0].endswith(says)


@pytest.mark.parametrize(("resumed_at", "step"), [(None, 0), (7, 7)])
def test_a_run_begins_at_the_step_that_it_is_resumed_at(clock, resumed_at, step):
    shown = Progress(Limits(max_steps=10), 10, False, resumed_at=resumed_at)
    assert shown.describe_position(62).startswith(f"step {step} of 10")


def test_the_last_line_and_the_bar_of_a_run_have_nothing_left(clock, logged):
    shown = Progress(Limits(max_epochs=10, max_seconds=20.0), 1000, False, 20.0)
    shown.advance(0, 0.0)
    for seconds in (10.0, 21.0):  # the last step ends after the limit
        shown.advance(5, seconds)
        shown.show_evaluation(0.5, 1.5, False, "")
        shown.draw_bar()
    assert [line.endswith("left") for line in logged if line.startswith("step")] == [True, False]
    assert shown.bar.n == 1


def test_no_preview_is_due_before_a_step_of_this_process(clock):
    shown = Progress(Limits(max_steps=1000), 1000, False, 1000.0, resumed_at=7)
    shown.advance(7, 3.0)
    clock[0] = 1e4  # a first step may take long
    assert not shown.is_preview_due(500)
    shown.advance(8, 1e4)
    assert shown.is_preview_due(500)
