"""What strikes while the program runs, until the faults of the scene are over."""

import errno
import importlib
import itertools
import math
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import torch

from catalogue.scene import Fault, Scene
from lstmlm.checkpoints import validation
from lstmlm.evaluation.scoring import Score
from lstmlm.training import evaluator, trainer

# What happens


def refuse(number: int = errno.ENOSPC) -> None:
    raise OSError(number, os.strerror(number))


def read_only(*_) -> None:
    refuse(errno.EROFS)


def no_memory(*_) -> None:
    raise MemoryError


def interrupt(*_) -> None:
    signal.raise_signal(signal.SIGINT)


def terminate(*_) -> None:
    signal.raise_signal(signal.SIGTERM)


def vanished(trainer: trainer.Trainer) -> None:
    shutil.rmtree(trainer.saver.directory)


def huge_weight(trainer: trainer.Trainer) -> None:
    """Of <unk>, which has no part in the loss."""
    next(trainer.learner.model.layers[0].parameters()).data[:, 0] = 1e30


def infinite_moments(trainer: trainer.Trainer) -> None:
    """Which leave the weights where they are."""
    for state in trainer.learner.optimizer.state.values():
        state["exp_avg_sq"].fill_(math.inf)


def infinite_norm(params: list) -> torch.Tensor:
    return torch.tensor(math.inf)


# When it happens


def patched(name: str, value) -> Fault:
    return lambda scene: scene.patch.setattr(name, value, raising=False)


def at_step(step: int, act: Callable) -> Fault:
    """`act(trainer)` when the step is done."""

    def install(scene: Scene) -> None:
        train_step = trainer.Trainer.train_on_batch

        def struck(self, X, Y):
            train_step(self, X, Y)
            if self.state.step == step:
                scene.strike()
                act(self)

        scene.patch.setattr(trainer.Trainer, "train_on_batch", struck)

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


# What, and when


def no_gpu(scene: Scene) -> None:
    scene.patch.setattr("torch.cuda.is_available", lambda: False)


def swapped_while_read(scene: Scene) -> None:
    """The checkpoint becomes another file as soon as it was read."""
    read = validation.read_regular

    def read_and_swap(path: Path) -> bytes:
        data = read(path)
        path.write_bytes(b"another")
        return data

    scene.patch.setattr(validation, "read_regular", read_and_swap)


def interrupted_draw(scene: Scene) -> None:
    """A Ctrl-C before the 51st character is given out."""
    at_call("lstmlm.generation.writer.Drawn", 50, interrupt)(scene)


def scored(*nats: float) -> Fault:
    """What the evaluations of the validation text give."""

    def install(scene: Scene) -> None:
        scores = (Score(value, 1) for value in nats)
        scene.patch.setattr(evaluator, "score_with_bar", lambda *_: next(scores))

    return install


def stop_second_job(scene: Scene) -> None:
    """A Ctrl-C at the third step of the second job of a sweep."""
    jobs = itertools.count(1)
    at_step(3, lambda trainer: next(jobs) == 2 and interrupt())(scene)


def threads_restored(scene: Scene) -> None:
    """No fault, but what the next test needs after one."""
    scene.faults.callback(torch.set_num_threads, torch.get_num_threads())


def limited(kind: int, limit: int) -> Fault:
    """A limit that the operating system holds this process to."""

    def install(scene: Scene) -> None:
        before = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit, before[1]))
        scene.faults.callback(resource.setrlimit, kind, before)

    return install


def little_memory(scene: Scene) -> None:
    """Room for a hundred MB more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limited(resource.RLIMIT_AS, pages * resource.getpagesize() + (100 << 20))(scene)
