"""Faults to be put in a run's way: what lies in the folder where the user stands, and what strikes later.

Each is a function of the scene; those that strike later do so until the scene's faults are over.
"""

import errno
import importlib
import io
import itertools
import math
import os
import resource
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm import checkpoint, commit, gate, training
from lstmlm.checkpoint import BEST, LAST
from lstmlm.evaluation import Score
from lstmlm.gate import strict_json
from lstmlm.resume import newest_good

# Six steps, evaluated and saved at every second one, with a point in the curves for each
SMALL = ["backend=nn", "model.num_hiddens=8", "data.batch_size=4", "data.num_steps=8", "sample.length=10"]
SMALL += ["train.max_steps=6", "train.eval_every=2", "train.log_every=1", "data.split=[0.9,0.001,0.001]"]
IN_RUN = "hydra.run.dir=run"
SWEEP = ("-m", "hydra.sweep.dir=sweep", *SMALL)


@dataclass
class Scene:
    """An empty folder where the user stands, the two doors of the program, and the faults, until they are over."""

    folder: Path
    kept: Path  # runs of SMALL that were made once, for all: whole, and stopped at step 3
    train: Callable = print  # python train.py ...
    command: Callable = print  # python -m lstmlm ...
    run: Callable = print  # what python train.py does when the settings of SMALL are composed, in run/
    out: str = ""  # what was on stdout
    saved: int = -1  # step of the newest good checkpoint when a fault struck
    faults: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.patch = self.faults.enter_context(pytest.MonkeyPatch.context())

    def strike(self) -> None:
        with suppress(ValueError):  # nothing is saved yet
            self.saved = newest_good(self.folder / "run").record["step"]

    def files(self) -> dict[Path, tuple[int, bytes]]:
        """Size and content, or its first MB, of every file, but for the log of a run, where a refusal may be told."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and not (path.name == "train.log" and path.with_name(LAST).exists()):
                with open(path, "rb") as file:
                    found[path] = path.stat().st_size, file.read(1 << 20)
        return found

    def rows(self) -> list[dict]:
        """Of metrics.jsonl."""
        *lines, end = (self.folder / "run" / "metrics.jsonl").read_text().split("\n")
        assert end == ""
        return [strict_json(line, "row") for line in lines]

    def points(self, tag: str) -> dict[int, float]:
        """Of a curve, by step."""
        curves = EventAccumulator(str(self.folder / "run"), size_guidance={"scalars": 0}).Reload()
        return {event.step: event.value for event in curves.Scalars(tag)}


Fault = Callable[[Scene], object]


# What lies there


def file(name: str, content: bytes) -> Fault:
    return lambda scene: (scene.folder / name).write_bytes(content)


def folder(name: str) -> Fault:
    return lambda scene: (scene.folder / name).mkdir(parents=True)


def copied(kept: str) -> Fault:
    return lambda scene: shutil.copytree(scene.kept / kept, scene.folder / "run")


def spoiled(change: Callable[[bytes], bytes], pattern: str = LAST) -> Fault:
    """A file of the run is damaged."""

    def spoil(scene: Scene) -> None:
        (path,) = (scene.folder / "run").glob(pattern)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


def flipped(share: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        at, bit = divmod(int(share * 8 * len(data)), 8)
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]

    return flip


def hole(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes(4096) + data[at + 4096 :]


def recorded(change: Callable[[dict], object], name: str = LAST) -> Fault:
    """A checkpoint of the run says something else, and is signed again."""

    def rewrite(scene: Scene) -> None:
        loaded = checkpoint.load(scene.folder / "run" / name)
        change(loaded.record)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "versions", lambda: loaded.record["versions"])
            checkpoint.save(scene.folder / "run" / name, loaded.tensors, loaded.record)

    return rewrite


# What strikes later


def refuse(number: int = errno.ENOSPC) -> None:
    raise OSError(number, os.strerror(number))


def no_memory(*_) -> None:
    raise MemoryError


def infinite_norm(params: list, theta: float | None) -> torch.Tensor:
    return torch.tensor(math.inf)


def interrupt(*_) -> None:
    signal.raise_signal(signal.SIGINT)


def terminate(*_) -> None:
    signal.raise_signal(signal.SIGTERM)


def patched(name: str, value) -> Fault:
    return lambda scene: scene.patch.setattr(name, value, raising=False)


def at_step(step: int, act: Callable) -> Fault:
    """`act(trainer)` when the step is done."""

    def install(scene: Scene) -> None:
        train_step = training.Trainer.train_step

        def struck(self, X, Y):
            train_step(self, X, Y)
            if self.step == step:
                scene.strike()
                act(self)

        scene.patch.setattr(training.Trainer, "train_step", struck)

    return install


def at_call(name: str, nth: int, act: Callable = refuse) -> Fault:
    """`act()` before the nth call, counted from 0, of a function that can be patched by that name."""

    def install(scene: Scene) -> None:
        module, _, attribute = name.rpartition(".")
        function, calls = getattr(importlib.import_module(module), attribute), []

        def struck(*args, **options):
            calls.append(args)
            if len(calls) == nth + 1:
                scene.strike()
                act()
            return function(*args, **options)

        scene.patch.setattr(name, struck)

    return install


class Small(io.FileIO):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, path: Path, mode: str, room: int) -> None:
        super().__init__(path, mode)
        self.room = room

    def write(self, data) -> int:
        if not self.room:
            refuse()
        taken = super().write(data[: self.room])
        self.room -= taken
        return taken


class Full(io.BufferedWriter):
    """A file of which the disk takes a part."""

    def __init__(self, path: Path, mode: str, part: Callable[[int], int], number: int) -> None:
        super().__init__(io.FileIO(path, mode))
        self.part, self.number = part, number

    def write(self, data) -> int:
        super().write(data[: self.part(len(data))])
        self.flush()
        refuse(self.number)


class Piecemeal(io.FileIO):
    """A file that takes a hundred bytes at a call, as write(2) may."""

    def write(self, data) -> int:
        return super().write(data[:100])


class LateRefusal(io.FileIO):
    """A file whose loss is told at the end, as over a network."""

    def close(self) -> None:
        if not self.closed:
            super().close()
            refuse(errno.EDQUOT)


def late_refusal(path: Path, mode: str) -> io.BufferedWriter:
    return io.BufferedWriter(LateRefusal(path, mode))


def piecemeal(path: Path, mode: str) -> io.BufferedWriter:
    return io.BufferedWriter(Piecemeal(path, mode))


def dev_full(path: Path, mode: str) -> io.BufferedWriter:
    return open("/dev/full", mode)


def at_write(nth: int | None, make: Callable[[Path, str], io.RawIOBase]) -> Fault:
    """The nth file that the commit protocol writes, counted from 0 (None: every one), is made so.

    They are: config.yaml, then last, and at each evaluation last and best.
    """

    def install(scene: Scene) -> None:
        count = iter(range(1000))

        def opened(path, mode="r", **options):
            if mode != "wb" or nth not in (None, next(count)):
                return open(path, mode, **options)
            scene.strike()
            return make(path, "wb")

        scene.patch.setattr(commit, "open", opened, raising=False)

    return install


def disk_full(nth: int, part: Callable[[int], int], number: int = errno.ENOSPC) -> Fault:
    """The disk takes part(n) of the n bytes of the nth file, and says no with that number."""
    return at_write(nth, lambda path, mode: Full(path, mode, part, number))


def limited(kind: int, limit: Callable[[], int]) -> Fault:
    """A limit that the operating system holds this process to."""

    def install(scene: Scene) -> None:
        before = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit(), before[1]))
        scene.faults.callback(resource.setrlimit, kind, before)

    return install


# Larger ones


def no_gpu(scene: Scene) -> None:
    scene.patch.setattr("torch.cuda.is_available", lambda: False)


def pipe(scene: Scene) -> None:
    os.mkfifo(scene.folder / "pipe")


def sparse(scene: Scene) -> None:
    """A text of 1 TB, of which nothing is on the disk."""
    with open(scene.folder / "my.txt", "wb") as text:
        text.truncate(1 << 40)


def linked(scene: Scene) -> None:
    """The run directory is a link; and a rename from one folder to another, perhaps another disk, fails."""
    (scene.folder / "elsewhere").mkdir()
    (scene.folder / "run").symlink_to("elsewhere")
    replace = os.replace

    def beside(source, target):
        if Path(source).parent != Path(target).parent:
            refuse(errno.EXDEV)
        replace(source, target)

    scene.patch.setattr(os, "replace", beside)


def swapped_while_read(scene: Scene) -> None:
    """The checkpoint becomes another file as soon as it was read."""
    read = gate.read_regular

    def read_and_swap(path: Path) -> bytes:
        data = read(path)
        path.write_bytes(b"another")
        return data

    scene.patch.setattr(gate, "read_regular", read_and_swap)


def shuffled_times(scene: Scene) -> None:
    for age, path in enumerate(sorted((scene.folder / "run").glob("*.safetensors"))):
        os.utime(path, (age, age))


def set_back(scene: Scene) -> None:
    """The clock was an hour ahead when the run was begun."""
    (events,) = (scene.folder / "run").glob("events*")
    stamp = events.name.split(".")[3]
    events.rename(events.with_name(events.name.replace(stamp, str(int(stamp) + 3600), 1)))


def surrogate(scene: Scene) -> None:
    recorded(lambda record: record["vocab"].__setitem__(1, "\ud800"), BEST)(scene)


def interrupted_draw(scene: Scene) -> None:
    at_call("lstmlm.sampling.draw", 50, interrupt)(scene)


def threads_restored(scene: Scene) -> None:
    scene.faults.callback(torch.set_num_threads, torch.get_num_threads())


def vanished(trainer: training.Trainer) -> None:
    shutil.rmtree(trainer.directory)


def huge_weight(trainer: training.Trainer) -> None:
    """Of <unk>, which has no part in the loss."""
    next(trainer.model.layers[0].parameters()).data[:, 0] = 1e30


def infinite_moments(trainer: training.Trainer) -> None:
    """Which leave the weights where they are."""
    for state in trainer.optimizer.state.values():
        state["exp_avg_sq"].fill_(math.inf)


def scored(*nats: float) -> Fault:
    """What the evaluations of the validation text give."""

    def install(scene: Scene) -> None:
        scores = (Score(value, 1) for value in nats)
        scene.patch.setattr(training, "evaluate", lambda *_: next(scores))

    return install


def sweep_stopped(scene: Scene) -> None:
    """A sweep of seeds 1, 0 and 2, by a Ctrl-C at the third step of its second job."""
    stop_second_job(scene)
    scene.train(*SWEEP, "seed=1,0,2")
    scene.patch.undo()


def stop_second_job(scene: Scene) -> None:
    jobs = itertools.count(1)
    at_step(3, lambda trainer: next(jobs) == 2 and interrupt())(scene)


def torn_row(path: Path, mode: str, **options) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Small(path, mode, 100)), **options)


def small_curves(path: Path, mode: str) -> io.BufferedWriter:
    return io.BufferedWriter(Small(path, mode, 4000))


def small_log(handler) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Small(handler.baseFilename, "a", 100)), encoding="utf-8")


def read_only(*_) -> None:
    refuse(errno.EROFS)


def little_memory(scene: Scene) -> None:
    """Room for a hundred MB more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limited(resource.RLIMIT_AS, lambda: pages * resource.getpagesize() + (100 << 20))(scene)


def final_rows(sweep: Path) -> list[str]:
    """The jobs of a sweep that came to their end."""
    ends = sorted(sweep.glob("*/metrics.jsonl"))
    return [path.parent.name for path in ends if path.read_text().count('"final": true') == 1]
