"""threads=auto is the number of threads with which a step takes least, and changes nothing else."""

import re

import pytest
import torch
import yaml
from catalogue.scene import SMALL
from helpers.command_line import composed_config
from helpers.forms import make_model

from lstmlm.checkpoints import checkpoint
from lstmlm.runs import threads as threads_module
from lstmlm.system import machine
from lstmlm.training import thread_tuning
from lstmlm.training.plan import Recipe
from lstmlm.training.thread_tuning import (
    choose_fewest_threads,
    list_thread_counts,
    make_timed_step,
    measure_in_turns,
)

TIMES = {1: 0.015, 2: 0.01, 4: 0.02, 8: 5.0}


@pytest.fixture
def eight_cores(monkeypatch):
    """A machine where 2 threads are quickest: steps are made as always, but on one core, and the clock is not asked."""
    threads = [1]
    monkeypatch.setattr(torch, "set_num_threads", lambda number: threads.append(number))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(threads_module, "count_cores", lambda: 8)
    real = thread_tuning.make_timed_step

    def on_a_clock_of_our_own(*arguments):
        step = real(*arguments)
        return lambda threads: min(TIMES[threads], 100 + step(threads))

    monkeypatch.setattr(thread_tuning, "make_timed_step", on_a_clock_of_our_own)
    return threads


def tensors(directory) -> dict[str, torch.Tensor]:
    return checkpoint.load_checkpoint(directory / "last.safetensors").tensors


def test_the_run_is_that_with_the_number_chosen_which_settings_and_checkpoint_keep(train, tmp_path, eight_cores):
    code, out, _ = train(*SMALL, "hydra.run.dir=auto")
    assert code == 0 and eight_cores[-1] == 2
    taken = "15.0 ms with 1, 10.0 ms with 2, 20.0 ms with 4, far more with 8"
    assert out.count(f"threads: 2, a step takes {taken}; for the same bits again: threads=2\n") == 1
    assert "trying 1, 2, 4, 8 threads ..." in out
    assert not re.search(r"to try: .*threads", out)  # a new run chooses anew
    assert yaml.safe_load((tmp_path / "auto" / "config.yaml").read_text())["threads"] == 2
    assert checkpoint.load_checkpoint(tmp_path / "auto" / "best.safetensors").record["config"]["threads"] == 2
    code, out, _ = train(*SMALL, "hydra.run.dir=fixed", "threads=2")
    assert code == 0 and "a step takes" not in out
    ours, theirs = tensors(tmp_path / "auto"), tensors(tmp_path / "fixed")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("typed", [(), ("threads=auto",)])
def test_a_resumed_run_keeps_its_number_and_does_not_choose_again(train, tmp_path, monkeypatch, eight_cores, typed):
    assert train(*SMALL, "hydra.run.dir=run")[0] == 0
    monkeypatch.setattr(threads_module, "announce_threads", lambda *_: pytest.fail("chosen again"))
    code, out, _ = train("resume=run", "train.max_steps=8", *typed)
    assert code == 0 and "not bit for bit" not in out and eight_cores[-1] == 2
    assert checkpoint.load_checkpoint(tmp_path / "run" / "last.safetensors").record["config"]["threads"] == 2


def test_a_core_that_gains_less_than_a_tenth_is_left_alone():
    assert choose_fewest_threads({1: 1.0, 2: 0.92}) == 1
    assert choose_fewest_threads({1: 1.0, 2: 0.8}) == 2
    assert choose_fewest_threads({1: 1.0, 2: 8.0}) == 1
    assert choose_fewest_threads({1: 1.0, 2: 0.60, 4: 0.35, 8: 0.32, 16: 0.40}) == 4


def test_powers_of_two_and_all_cores_are_tried():
    assert [list_thread_counts(n) for n in (1, 2, 3, 8, 12)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 12]]


def test_a_burst_of_other_load_does_not_decide():
    calls = iter(range(100))
    times = measure_in_turns(lambda threads: 0.01 / threads * (9 if next(calls) < 12 else 1), [1, 2])
    assert times == {1: 0.01, 2: 0.005}


def test_slow_steps_are_few(monkeypatch):
    seconds, made = iter(range(0, 1000, 5)), []
    monkeypatch.setattr(thread_tuning.time, "perf_counter", lambda: next(seconds))
    times = measure_in_turns(lambda threads: made.append(threads) or 5.0 / threads, [1, 2, 4])
    assert times == {1: 5.0, 2: 2.5, 4: 1.25} and made == [1, 2, 4]


def test_no_more_threads_than_the_environment_allows(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    cores = machine.count_cores()
    assert cores >= 1
    for words, expected in (("1", 1), ("1,2", 1), ("4096", cores), ("0", cores), ("many", cores), ("", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", words)
        assert machine.count_cores() == expected


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("threads=fast", "error: threads: no such option 'fast': choose auto or a number from 1 to 1024\n"),
        ("threads=0", "error: threads: must be finite and 1 to 1024, got 0\n"),
        ("threads=1.5", "error: threads: value '1.5' of type 'float' is incompatible with type hint"),
        ("threads=null", "error: settings: Error merging override threads=null field 'threads' is not Optional"),
    ],
)
def test_a_wrong_number_is_one_line(train, typed, says):
    code, _, err = train(typed)
    assert code == 2 and err.startswith(says) and err.count("\n") == 1


def test_lr_find_chooses_as_a_run_does(command, eight_cores):
    assert command("lr_find", *SMALL[:4], "--steps", "100")[0] == 0
    assert eight_cores[-1] == 2


def test_the_default_is_auto():
    assert composed_config().threads == "auto"


def test_one_number_of_threads_needs_one_step():
    made: list[int] = []
    assert measure_in_turns(lambda threads: made.append(threads) or 5.0, [4]) == {4: 5.0} and made == [4]


RECIPE = Recipe(0.1, "constant", 0.0, 1.0, None, 1, "float32")


def test_a_step_is_timed_from_its_beginning_to_its_end(monkeypatch):
    seconds = iter([100.0, 103.0])
    monkeypatch.setattr(thread_tuning.time, "perf_counter", lambda: next(seconds))
    X = torch.zeros(2, 3, dtype=torch.int64)
    step = make_timed_step(make_model("nn", torch.float32), X, X, "sgd", RECIPE)
    assert step(torch.get_num_threads()) == 3.0
