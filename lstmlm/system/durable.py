"""Files that are whole or not there, and directories that one run has to itself."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lstmlm.system.errors import EnvironmentFault

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, so two runs told to share a directory are not stopped
    fcntl = None


def write_durably(path: Path, data: bytes, keep: Path | None = None) -> None:
    """Replace `path` by `data`: a reader, or a power cut, finds the old file or the new one, never a part.

    The old file goes to `keep`, if that is given; between the two renames it is there and `path` is not.
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
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def name_refusals(path: Path) -> Iterator[None]:
    """What the disk refuses in the block, as an EnvironmentFault that names the file."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write {path}: {error.strerror}: free the disk or choose another run directory"
        ) from error


def sync_directory(directory: Path) -> None:
    """Make renames in the directory survive a power cut."""
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def lock_directory(directory: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the directory's `.lock` for the block; yields whether it was free. A killed process frees it.

    With `wait`, wait until it is.
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
