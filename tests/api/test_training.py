"""`lstmlm.train` is `python train.py` in Python: the same run, in a process that stays as it was."""

import asyncio
import logging
import signal
import sys
import threading

import pytest
import torch
from helpers.command_line import TINY

import lstmlm
from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.system.errors import BadInput
from lstmlm.training.trainer import Trainer

SMALL = {"backend": "nn", "num_hiddens": 8, "batch_size": 4, "num_steps": 8, "length": 10, "max_steps": 4}
SMALL |= {"eval_every": 2, "split": [0.98, 0.01, 0.01], "baselines": False}  # TINY, as keywords


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lstmlm.train(**SMALL, directory=tmp_path_factory.mktemp("run") / "run")


def strike_at_step(monkeypatch, step, strike):
    """Call `strike` when the step is done."""
    train_on_batch = Trainer.train_on_batch

    def struck(self, X, Y):
        train_on_batch(self, X, Y)
        if self.state.step == step:
            strike()

    monkeypatch.setattr(Trainer, "train_on_batch", struck)


def describe_process():
    """What a run changes while it lasts."""
    log = logging.getLogger("lstmlm")
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    streams = [sys.stdout, sys.stderr, sys.stdout.errors, sys.stderr.errors, sys.argv]
    settings = [torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()]
    draws = torch.get_rng_state().tolist()
    return [signals, log.handlers, log.level, log.propagate, streams, settings, draws, threading.enumerate()]


# The same run


def test_keywords_and_overrides_make_the_run_of_the_command_line(run, train, tmp_path):
    assert train(*TINY, "hydra.run.dir=typed")[0] == 0
    again = lstmlm.train(*TINY, directory="again")
    weights = [load_checkpoint(folder / "last.safetensors").weights for folder in (run.directory, again.directory)]
    typed = load_checkpoint(tmp_path / "typed" / "last.safetensors").weights
    assert all(own.keys() == typed.keys() for own in weights)
    assert all(torch.equal(own[name], tensor) for own in weights for name, tensor in typed.items())
    assert [row["loss/val"] for row in again.metrics] == [row["loss/val"] for row in run.metrics]


def test_the_run_tells_its_evaluations_and_its_end(run):
    assert [row["step"] for row in run.metrics] == [2, 4]
    assert run.final["loss/val_best"] == run.metrics[-1]["loss/val"]
    assert run.state == "finished"
    assert "finished at step 4" in repr(run) and f"{run.metrics[-1]['ppl/val']:.3f}" in repr(run)


def test_the_run_has_its_model(run):
    assert run.model.generate("The", 20, seed=1) == lstmlm.load(run.directory).generate("The", 20, seed=1)
    assert "LSTM, 1 x 8 units" in repr(run.model) and "tide_clock, 4 steps" in repr(run.model)


def test_a_resumed_run_is_the_run_that_was_longer_at_once(tmp_path):
    constant = SMALL | {"schedule": "constant", "warmup": 0}
    stopped = lstmlm.train(**constant, directory="stopped")
    before = stopped.model.generate("The", 50, seed=1)
    assert stopped.resume(max_steps=8) is stopped
    longer = lstmlm.train(**constant | {"max_steps": 8}, directory="longer")
    assert [row["loss/val"] for row in stopped.metrics] == [row["loss/val"] for row in longer.metrics]
    assert stopped.model.generate("The", 50, seed=1) == longer.model.generate("The", 50, seed=1) != before


def test_a_text_is_given_by_its_path(tmp_path):
    (tmp_path / "it's {mine}, $1.txt").write_text("The tide came in, and the lamp was lit. " * 60)
    (tmp_path / "other.txt").write_text("the tide went out. " * 9)
    small = SMALL | {"split": [0.9, 0.1, 0]}
    given = lstmlm.train(**small, data="it's {mine}, $1.txt", val_path=tmp_path / "other.txt")
    assert load_checkpoint(given.directory / "best.safetensors").record["data"]["name"] == "file"


# The curves


def test_the_plot_has_the_curves_and_the_baseline(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    drawn = lstmlm.train(**SMALL | {"baselines": True})
    axes = drawn.plot()
    assert [line.get_label() for line in axes.lines] == ["training", "validation", "best n-gram"]
    for line, tag in zip(axes.lines, ("loss/train", "loss/val", "baseline/ngram"), strict=True):
        assert line.get_ydata().tolist() == [row[tag] for row in drawn.metrics]
    assert drawn.plot(axes) is axes


def test_training_draws_nothing_and_leaves_the_backend_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("svg")
    lstmlm.train(**SMALL)
    assert matplotlib.get_backend() == "svg"
    matplotlib.use("Agg")


# The process


def test_the_process_is_as_it_was(monkeypatch):
    log = logging.getLogger("lstmlm")
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(log, "level", logging.ERROR)
    monkeypatch.setattr(log, "propagate", False)
    torch.set_num_threads(2)
    try:
        before = describe_process()
        lstmlm.train(**SMALL, threads=1)
        assert describe_process() == before
        with pytest.raises(BadInput):
            lstmlm.train(**SMALL, prompt="\u0416")
        assert describe_process() == before
    finally:
        torch.set_num_threads(1)


def test_a_program_of_hydra_that_trains_stays_as_it_was():
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.version import VersionBase

    with initialize_config_dir("/", version_base="1.2"):
        lstmlm.train(**SMALL)
        assert compose(overrides=["+a=1"]).a == 1
        assert str(VersionBase.instance().getbase()) == "1.2"
    assert not GlobalHydra.instance().is_initialized()


def test_threads_train_one_after_the_other(run):
    runs = []
    threads = [threading.Thread(target=lambda: runs.append(lstmlm.train(**SMALL))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.directory for one in runs}) == 2
    assert all([row["loss/val"] for row in one.metrics] == [row["loss/val"] for row in run.metrics] for one in runs)
    logs = [(one.directory / "train.log").read_text() for one in runs]
    assert all(log.count("verdict: ") == 1 for log in logs)


def test_a_loop_of_asyncio_may_be_running(run):
    async def train_here():
        return lstmlm.train(**SMALL)

    assert asyncio.run(train_here()).final["loss/val_best"] == run.final["loss/val_best"]


# Interrupts


def test_an_interrupt_saves_the_run_and_gives_it_back(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        strike_at_step(patch, 3, lambda: signal.raise_signal(signal.SIGINT))
        stopped = lstmlm.train(**SMALL)
    assert "stopped at step 3: saved" in capsys.readouterr().out
    assert (stopped.state, stopped.final, len(stopped.metrics)) == ("stopped", None, 1)
    assert "stopped" in repr(stopped)
    assert stopped.resume().final["step"] == 4


def test_an_interrupt_before_an_evaluation_gives_the_last_weights(monkeypatch):
    strike_at_step(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGINT))
    stopped = lstmlm.train(**SMALL)
    assert "not evaluated yet" in repr(stopped)
    assert stopped.model.record["step"] == 1
    with pytest.raises(BadInput, match=r"plot: .* has no evaluation yet"):
        stopped.plot()


def test_an_interrupt_after_training_gives_the_run_back(monkeypatch):
    monkeypatch.setattr("lstmlm.runs.execute.score_final_weights", lambda *_: signal.raise_signal(signal.SIGINT))
    stopped = lstmlm.train(**SMALL)
    assert len(stopped.metrics) == 2 and stopped.final is None


def test_an_interrupt_before_anything_is_saved_is_raised(monkeypatch):
    monkeypatch.setattr("lstmlm.runs.execute.choose_threads", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        lstmlm.train(**SMALL)


def test_sigterm_saves_the_run_and_reaches_the_program(monkeypatch, tmp_path):
    arrived = []
    before = signal.signal(signal.SIGTERM, lambda *_: arrived.append((tmp_path / "run/last.safetensors").exists()))
    try:
        strike_at_step(monkeypatch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        lstmlm.train(**SMALL, directory="run")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert arrived == [True]
