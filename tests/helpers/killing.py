"""Runs that are killed and resumed, in forked children of one process that has torch and one thread.

Used by test_resume.py as a process of its own: OPENBLAS_NUM_THREADS=1 python -m helpers.killing MODE DIRECTORY [COUNT]
The run is small and has everything that could be forgotten: two layers, dropout, warm-up and cosine, carried state, a
random offset in each of several epochs, an average of the weights, a validation loss that gets worse, evaluations off
the grid of saves.
"""

import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers.command_line import composed_config
from lstmlm.checkpoints import checkpoint
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs import launch
from lstmlm.system import durable
from lstmlm.system.errors import BadInput
from lstmlm.training import adamw_native
from lstmlm.training.evaluator import Evaluator
from lstmlm.training.optim import build_optimizer, compute_clip_factor, compute_norm, scale_gradients
from lstmlm.training.trainer import Trainer

# Learned by heart, and no help with what is held out: the validation loss gets worse
TEXT = "the tide comes in and goes out. " * 24 + "".join(random.Random(0).choices("the tide comes in, ", k=480))
SETTINGS = ["backend=nn", "data=file", "model.num_hiddens=8", "model.num_layers=2", "model.dropout=0.3", "train.lr=0.1"]
SETTINGS += ["data.batch_size=4", "data.num_steps=8", "data.split=[0.6,0.2,0.2]", "train.max_epochs=3", "seed=3"]
SETTINGS += ["train.log_every=4", "train.eval_every=13", "train.save_every=7", "sample.length=20", "threads=1"]
SETTINGS += ["train.ema=0.9", "train.patience=9"]
CLOCK = ("seconds", "cpu_seconds", "chars_per_s", "speed/")


def go(directory: Path) -> None:
    """Start the run in the directory, or resume it: what `resume=auto hydra.run.dir=DIRECTORY` does."""
    text = directory.parent / "text.txt"
    if not text.exists():
        text.write_text(TEXT)
    config = composed_config(*SETTINGS, f"data.path={text}")
    config.resume = "auto"
    launch.resume_run(config, {}, directory, named=True)


def child(directory: Path, before=lambda: None) -> int:
    """Fork, call `before`, go; the process id."""
    if pid := os.fork():
        return pid
    try:
        before()
        go(directory)
        os._exit(0)
    except BaseException as error:
        os.write(2, f"child: {error!r}\n".encode())
        os._exit(1)


def warm_up() -> None:
    """What torch imports at the first step, before the first fork; no backward, which would start threads."""
    model = RNNModel(ModelConfig(5, 4), "nn")
    optimizer = build_optimizer(model, "adamw", 0.1, 0.0)
    model(torch.zeros(1, 2, dtype=torch.int64))
    for param in model.trained().values():
        param.grad = torch.zeros_like(param)
    params = list(model.trained().values())
    scale_gradients(params, compute_clip_factor(compute_norm(params), 1.0))
    adamw_native.find_kernel()
    optimizer.step()
    assert len(os.listdir("/proc/self/task")) == 1, "a fork needs one thread: set OPENBLAS_NUM_THREADS=1"


def finish(directory: Path) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child(directory), 0)[1])


# What must be the same


def outcome(directory: Path) -> dict:
    """All that a run leaves, but for what the clock says."""
    left = {}
    for name in ("best", "last"):
        loaded = checkpoint.load_checkpoint(directory / f"{name}.safetensors")
        for key, tensor in loaded.tensors.items():
            left[f"{name} {key}"] = tensor.numpy().tobytes()
        left[f"{name} step"] = loaded.record["step"]
        loop = {key: value for key, value in loaded.record["loop"].items() if "seconds" not in key}
        left[f"{name} loop"] = json.dumps(loop)
    for k, line in enumerate((directory / "metrics.jsonl").read_text().splitlines()):
        left[f"row {k}"] = json.dumps({key: v for key, v in json.loads(line).items() if not key.startswith(CLOCK)})
    curves = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    for tag in curves.Tags()["scalars"]:
        if not tag.startswith(CLOCK):
            left[f"curve {tag}"] = repr(sorted({(event.step, event.value) for event in curves.Scalars(tag)}))
            left[f"points {tag}"] = len(curves.Scalars(tag))
    return left


def differences(a: dict, b: dict) -> list[str]:
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


# Crash points


class Points:
    """Counts the places in a save where a kill matters, and dies at one of them."""

    def __init__(self, die_at: int | None = None) -> None:
        self.count, self.die_at, self.names = 0, die_at, []

    def reach(self, name: str) -> None:
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        self.names.append(name)

    def install(self) -> None:
        """Around every step of the commit protocol, and in the middle of a write."""

        def around(name, function):
            def wrapped(*args, **kwargs):
                self.reach(f"before {name}")
                result = function(*args, **kwargs)
                self.reach(f"after {name}")
                return result

            return wrapped

        class Halves:
            def __init__(self, file, points):
                self.file, self.points = file, points

            def write(self, data):
                self.file.write(data[: len(data) // 2])
                self.file.flush()
                self.points.reach("half written")
                self.file.write(data[len(data) // 2 :])

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.file.close()

            def __getattr__(self, name):
                return getattr(self.file, name)

        def opened(path, mode="r", **options):
            file = open(path, mode, **options)  # noqa: SIM115
            return Halves(file, self) if "w" in mode else file

        durable.open = opened
        os.replace, os.fsync = around("replace", os.replace), around("fsync", os.fsync)


def crash_points(directory: Path, part: str) -> dict:
    """Kill at every point of the saves of one evaluation (part "one"), or of the whole run ("all")."""
    reference, points, spans = directory / "reference", Points(), []
    evaluate = Trainer.evaluate

    def spanned(trainer, stop):
        start = points.count
        evaluate(trainer, stop)
        spans.append((start, points.count))

    replace, fsync = os.replace, os.fsync
    Trainer.evaluate = spanned
    points.install()
    go(reference)
    os.replace, os.fsync, Trainer.evaluate = replace, fsync, evaluate  # forks start from here
    del durable.open
    first, last = max(spans, key=lambda span: span[1] - span[0]) if part == "one" else (0, points.count)
    expected, bad = outcome(reference), {}
    for k in range(first, last):
        victim = directory / f"point{k}"
        status = os.waitstatus_to_exitcode(os.waitpid(child(victim, Points(k).install), 0)[1])
        problems = state_problems(victim) if status == -signal.SIGKILL else [f"not killed: {status}"]
        finish(victim)
        if problems := problems + differences(expected, outcome(victim)):
            bad[f"{k} {points.names[k]}"] = problems
    return {"points": last - first, "bad": bad}


def state_problems(directory: Path) -> list[str]:
    """After a kill: a file that is there is whole (but for one that was never finished), and the lock is free."""
    problems = []
    if not directory.exists():
        return problems
    for path in directory.glob("*.safetensors"):
        try:
            checkpoint.load_checkpoint(path)
        except BadInput as error:
            problems.append(str(error))
    if len(list(directory.glob(".*.tmp"))) > 1:
        problems.append("more than one unfinished file")
    with durable.lock_directory(directory) as free:
        return problems if free else [*problems, "locked"]


# Random kills


def random_kills(directory: Path, count: int) -> dict:
    """Kill `count` times at random moments; runs that reach their end are compared, and others begun."""
    reference = directory / "reference"
    start = time.perf_counter()
    finish(reference)
    length, expected, chance = time.perf_counter() - start, outcome(reference), random.Random(1)
    kills = runs = 0
    bad = {}
    while kills < count:
        runs += 1
        victim = directory / f"run{runs}"
        while True:
            pid = child(victim)
            deadline = time.monotonic() + chance.uniform(0.1, 1.0) * length
            while time.monotonic() < deadline and not (done := os.waitpid(pid, os.WNOHANG))[0]:
                time.sleep(0.002)
            if done[0]:
                break
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills += 1
            if problems := state_problems(victim):
                bad[f"run {runs}, kill {kills}"] = problems
        if problems := differences(expected, outcome(victim)) or ([] if done[1] == 0 else [f"exit {done[1]}"]):
            bad[f"run {runs}"] = problems
    return {"kills": kills, "runs": runs, "bad": bad}


# During the scoring of an evaluation

EVALUATIONS = (13, 26, 39, 52, 65, 69)  # their steps; the last is at the limit


def strike_scoring(number: int, at: int) -> None:
    """The process sends itself this signal in the middle of evaluation `at`, which must not go on after it."""
    evaluate, count = Evaluator.evaluate, itertools.count(1)

    def struck(self, *arguments):
        if next(count) == at:
            os.kill(os.getpid(), number)
            time.sleep(0.01)  # several bytecodes, so that the handler has run
            os.write(2, b"child: the evaluation goes on\n")
            os._exit(99)
        return evaluate(self, *arguments)

    Evaluator.evaluate = struck


def scoring_kills(directory: Path) -> dict:
    """A signal in the first, a middle and the last evaluation: the step is saved, and the run ends as if unharmed."""
    finish(directory / "reference")
    expected, bad = outcome(directory / "reference"), {}
    for number, at in ((signal.SIGKILL, 1), (signal.SIGTERM, 3), (signal.SIGINT, len(EVALUATIONS))):
        victim, problems = directory / f"signal{number}", []
        pid = child(victim, lambda number=number, at=at: strike_scoring(number, at))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != (-signal.SIGKILL if number == signal.SIGKILL else 1):
            problems.append(f"exit {status}")
        record = checkpoint.load_checkpoint(victim / "last.safetensors").record
        if (record["step"], record["loop"].get("evaluation_due")) != (EVALUATIONS[at - 1], True):
            problems.append(f"saved {record['step']}")
        problems += [f"exit {status}" for status in [finish(victim)] if status]
        if problems := problems + differences(expected, outcome(victim)):
            bad[victim.name] = problems
    return {"bad": bad, "steps": [json.loads(row)["step"] for key, row in expected.items() if key.startswith("row")]}


# Does the comparison see what is forgotten?


def forget(name: str):
    """A Trainer.restore that leaves out one item."""
    restore = Trainer.restore

    def forgetful(trainer, loaded):
        model, average, meter = trainer.learner.model, trainer.learner.average, trainer.state.meter
        fresh = dict(vars(trainer.state))
        dropout, weights, averaged = model.dropout_generator.get_state(), model.book_weights(), average.to_book()
        restore(trainer, loaded)
        if name == "weights":
            model.load_book_weights(weights)
        elif name == "average":
            average.from_book(averaged)
        elif name == "optimizer":
            trainer.learner.optimizer.state.clear()
        elif name == "dropout":
            model.dropout_generator.set_state(dropout)
        elif name == "meter":
            meter.sums.zero_()
        elif name == "meter counts":
            meter.chars = meter.steps = 0
        else:
            setattr(trainer.state, name, fresh[name])

    Trainer.restore = forgetful


ITEMS = ["weights", "optimizer", "dropout", "meter", "meter counts", "carried", "batch", "epoch_start", "step", "chars"]
ITEMS += ["since_evaluation", "this_epoch", "best", "average", "evaluations_since_best"]


def forgotten_items(directory: Path) -> dict:
    """For each item: which parts of the outcome betray that it was not restored (none: the test proves little)."""
    finish(directory / "reference")
    expected = outcome(directory / "reference")

    def die_late():
        save = Trainer.save_last

        def counted(trainer):
            written = save(trainer)
            # Between two evaluations and two readings of the meter, in the last epoch, after the best
            if trainer.state.step >= 49:
                os.kill(os.getpid(), signal.SIGKILL)
            return written

        Trainer.save_last = counted

    betrayed = {}
    for name in [None, *ITEMS]:
        victim = directory / f"without {name}"
        os.waitpid(child(victim, die_late), 0)
        before = (lambda: None) if name is None else (lambda name=name: forget(name))
        status = os.waitpid(child(victim, before), 0)[1]
        betrayed[str(name)] = [f"exit {status}"] if status else differences(expected, outcome(victim))
    return betrayed


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm_up()
    mode, place, *count = sys.argv[1:]
    Path(place).mkdir(exist_ok=True)
    os.environ["LSTMLM_CACHE"] = os.devnull  # nothing is kept, so every run writes the same files
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the runs print
    if mode == "random":
        result = random_kills(Path(place), int(count[0]))
    elif mode == "scoring":
        result = scoring_kills(Path(place))
    elif mode == "forget":
        result = forgotten_items(Path(place))
    else:
        result = crash_points(Path(place), mode)
    os.write(answer, json.dumps(result).encode())
