"""The directory of a run, locked for it alone, and its log."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from lstmlm.system.columns import measure_width, wrap_message
from lstmlm.system.durable import lock_directory
from lstmlm.system.errors import BadInput, EnvironmentFault, LstmlmError, Stopped, flush_or_discard
from lstmlm.system.escape import escape_controls

log = logging.getLogger("lstmlm")


@contextlib.contextmanager
def claim_directory(chosen: Path, named: bool, resuming: bool = False) -> Iterator[Path]:
    """Lock a run directory for the block, with the log open in it; no other run may use it.

    For a new run it has no checkpoint; `resuming` is for a run that has. If `chosen` is taken and the user has not
    `named` it, the first free of chosen_2, chosen_3, ... is used: another run began in the same second. BadInput or
    EnvironmentFault if the directory cannot be used.
    """
    directory, count = chosen, 1
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with lock_directory(directory) as free:
            if free and (resuming or not has_checkpoint(directory)):
                for unfinished in directory.glob(".*.tmp"):  # of a run that was killed while it wrote
                    unfinished.unlink()
                with log_to(directory / "train.log"), stop_at_once(directory):
                    yield directory
                return
        if (named or resuming) and not free:
            raise EnvironmentFault(f"{directory} is in use by another run: wait for it, or choose another directory")
        if named:
            raise BadInput(
                f"hydra.run.dir: {directory} holds a checkpoint already: choose another directory, "
                f"or resume its run with resume={directory}"
            )
        count += 1
        directory = chosen.with_name(f"{chosen.name}_{count}")


@contextlib.contextmanager
def stop_at_once(directory: Path) -> Iterator[None]:
    """Turn a KeyboardInterrupt of the block, outside of training or a second one in it, into Stopped."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("stopped", 130, directory) from None


def has_checkpoint(directory: Path) -> bool:
    return any(directory.glob("*.safetensors"))


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """For the block, write the log to stdout, above the bar, and to a file, there with the time and debug messages."""
    before = log.handlers, log.level, log.propagate
    log.setLevel(logging.DEBUG)
    log.propagate = False
    screen, file = Screen(logging.INFO), LogFile(path, encoding="utf-8", errors="backslashreplace", delay=True)
    screen.setFormatter(SafeFormatter("%(message)s"))
    file.setFormatter(SafeFormatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.handlers = [screen, file]
    try:
        yield
    except LstmlmError as error:
        log.debug("ended: %s", error)
        raise
    except Exception:
        log.debug("ended by a bug", exc_info=True)
        raise
    finally:
        log.handlers, log.level, log.propagate = before
        with contextlib.suppress(OSError):
            file.close()


class SafeFormatter(logging.Formatter):
    """Escapes what would control a terminal: messages quote paths and checkpoints that may be a stranger's."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))


class Screen(logging.Handler):
    """Stdout, with the bar kept below it, and long lines broken where the terminal ends.

    If the terminal or the reader is gone, the run continues without output.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            tqdm.write(wrap_message(self.format(record), measure_width()))
        flush_or_discard()


class LogFile(logging.FileHandler):
    """A log file. If it cannot be written, one warning says so, and the run continues without it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it could not be opened
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            return super().handleError(record)
        self.addFilter(lambda record: False)
        log.warning("warning: cannot write %s: %s: continuing without it", Path(self.baseFilename).name, error.strerror)
