"""Writes that survive a crash, and directories locked for one run."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lstmlm.system.errors import EnvironmentFault

try:
    import fcntl
except ImportError:  # Windows has no advisory locks: two runs in one directory are not detected
    fcntl = None  # type: ignore[assignment]


def write_durably(path: Path, data: bytes, keep: Path | None = None) -> None:
    """Replace the file `path` by `data`: after a crash or a power cut the file is the old one or the new one, whole.

    `keep` is the new name of the old file, if given; between the two renames `keep` exists and `path` does not.
    Raises EnvironmentFault if the file cannot be written; the old file is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with name_refusals(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(temporary, path)
            sync_directory(path.parent)
        except (OSError, KeyboardInterrupt):
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def name_refusals(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an EnvironmentFault that names the file."""
    try:
        yield
    except OSError as error:
        advice = "write to another folder"
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):  # Windows has no quota error
            advice = f"free space there, or {advice}"
        raise EnvironmentFault(f"cannot write {path}: {error.strerror}: {advice}") from error


def sync_directory(directory: Path) -> None:
    """Make the renames in a directory survive a power cut."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def lock_directory(directory: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file `.lock` of a directory for the block; yield whether the lock was free.

    `wait` waits until the lock is free. The system releases the lock when the process ends, however it ends.
    """
    with open(directory / ".lock", "a") as file:
        if fcntl is None:
            yield True
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
