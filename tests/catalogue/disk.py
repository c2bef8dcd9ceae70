"""Files that the disk does not take, or not as usual."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

from catalogue.scene import Fault, Scene
from catalogue.strikes import refuse
from lstmlm.system import durable


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
    """A file of which the disk takes a share."""

    def __init__(self, path: Path, mode: str, share: float, number: int) -> None:
        super().__init__(io.FileIO(path, mode))
        self.share, self.number = share, number

    def write(self, data) -> int:
        super().write(data[: int(self.share * len(data))])
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


def torn_row(path: Path, mode: str, **options) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Small(path, mode, 100)), **options)


def small_curves(path: Path, mode: str) -> io.BufferedWriter:
    return io.BufferedWriter(Small(path, mode, 4000))


def small_log(handler) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Small(handler.baseFilename, "a", 100)), encoding="utf-8")


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

        scene.patch.setattr(durable, "open", opened, raising=False)

    return install


def full(nth: int, share: float, number: int = errno.ENOSPC) -> Fault:
    """The disk takes a share of the nth file, and says no with that number."""
    return at_write(nth, lambda path, mode: Full(path, mode, share, number))


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
