"""What lies in the folder where the user stands: texts, runs, and damage to them."""

import os
import shutil
from collections.abc import Callable

import pytest

from catalogue import strikes
from catalogue.scene import SWEEP, Fault, Scene
from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.checkpoints.files import BEST, LAST


def file(name: str, content: bytes) -> Fault:
    return lambda scene: (scene.folder / name).write_bytes(content)


def folder(name: str) -> Fault:
    return lambda scene: (scene.folder / name).mkdir(parents=True)


def pipe(scene: Scene) -> None:
    """That nobody writes into."""
    os.mkfifo(scene.folder / "pipe")


# A run in run/


def copied(kept: str) -> Fault:
    return lambda scene: shutil.copytree(scene.kept / kept, scene.folder / "run")


def spoiled(change: Callable[[bytes], bytes], pattern: str = LAST) -> Fault:
    """A file of the run is changed."""

    def spoil(scene: Scene) -> None:
        (path,) = (scene.folder / "run").glob(pattern)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def cut(share: float, pattern: str = LAST) -> Fault:
    """Only a share of it is there."""
    return spoiled(lambda data: data[: int(share * len(data))], pattern)


def hole(data: bytes) -> bytes:
    """4 KiB of zeros in the middle."""
    at = len(data) // 2
    return data[:at] + bytes(4096) + data[at + 4096 :]


def flip(data: bytes, share: float) -> bytes:
    """One bit turned over, at this share of the length."""
    at, bit = divmod(int(share * 8 * len(data)), 8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def rewritten(change: Callable[[Checkpoint], object], name: str = LAST) -> Fault:
    """A checkpoint of the run holds something else, and is signed again."""

    def rewrite(scene: Scene) -> None:
        loaded = checkpoint.load_checkpoint(scene.folder / "run" / name)
        change(loaded)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "collect_versions", lambda: loaded.record["versions"])
            checkpoint.save_checkpoint(scene.folder / "run" / name, loaded.tensors, loaded.record)

    return rewrite


def surrogate(scene: Scene) -> None:
    """Half a character in the vocabulary."""
    rewritten(lambda loaded: loaded.record["vocab"].__setitem__(1, "\ud800"), BEST)(scene)


def shuffled_times(scene: Scene) -> None:
    """By the file system, previous is newer than last."""
    for age, path in enumerate(sorted((scene.folder / "run").glob("*.safetensors"))):
        os.utime(path, (age, age))


def set_back(scene: Scene) -> None:
    """The clock was an hour ahead when the run was begun."""
    (events,) = (scene.folder / "run").glob("events*")
    stamp = events.name.split(".")[3]
    events.rename(events.with_name(events.name.replace(stamp, str(int(stamp) + 3600), 1)))


# A sweep in sweep/


def sweep_stopped(scene: Scene) -> None:
    """A sweep of seeds 1, 0 and 2, by a Ctrl-C at the third step of its second job."""
    strikes.stop_second_job(scene)
    scene.train(*SWEEP, "seed=1,0,2")
    scene.patch.undo()
