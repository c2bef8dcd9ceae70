"""The errors that end a command, their exit codes, and the line on stderr that reports them.

The line is `error: <what>: <where>: <what to do>`. Exit codes: 0 done, 1 a bug, 2 bad input, 3 training diverged, 4 the
environment (disk, permission, memory, lock), 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lstmlm.system.escape import escape_controls
from lstmlm.system.interrupts import was_interrupted
from lstmlm.system.launcher_signals import JobEnds, was_announced

# The packages that lstmlm needs, by the names under which they are imported. Text is generated without most of them
PACKAGES = {name: name for name in ("numpy", "safetensors", "tensorboard", "torch", "tqdm")}
PACKAGES |= {"hydra": "hydra-core", "omegaconf": "hydra-core"}


class LstmlmError(Exception):
    """Ends a command with one line on stderr, without a traceback, and with `exit_code`."""

    exit_code = 2


class BadInput(LstmlmError, ValueError):
    """The user gave a setting, a text, a prompt or a checkpoint that cannot be used."""


class Diverged(LstmlmError):
    """The loss or the norm of its gradient is no longer finite."""

    exit_code = 3


class EnvironmentFault(LstmlmError):
    """The machine failed: disk, permission, memory, network, lock."""

    exit_code = 4


class ReportedElsewhere(LstmlmError):
    """Ends a process of several without a line: another one has said why."""

    exit_code = 4


class Stopped(LstmlmError):
    """Ctrl-C (exit code 130) or SIGTERM (143) stopped the command, a run after the step was finished and saved.

    `directory` is that of the run, if there is one.
    """

    def __init__(self, message: str, exit_code: int, directory: Path | None = None) -> None:
        super().__init__(message)
        self.exit_code, self.directory = exit_code, directory


@contextlib.contextmanager
def advise_on_memory(advice: str) -> Iterator[None]:
    """Turn a failed allocation in the block into an EnvironmentFault whose message ends with `advice`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise EnvironmentFault(f"out of memory: {advice}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, in Python or in torch, which raises a RuntimeError."""
    said_by_torch = any(words in str(error) for words in ("out of memory", "can't allocate memory"))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and said_by_torch)


def run_to_exit_code(job: Callable[[], None]) -> int:
    """Run a job and return the exit code; an exception of the job is reported in one line on stderr.

    With HYDRA_FULL_ERROR=1 in the environment a bug is raised instead, with its traceback.
    """
    try:
        job()
    except BrokenPipeError:  # the reader of stdout has ended (`| head`): end quietly
        flush_or_discard()
        return 0
    except KeyboardInterrupt:
        return print_error(Stopped("stopped", 130))
    except JobEnds:
        return print_error(Stopped("stopped", 143))
    except LstmlmError as error:
        return print_error(error)
    except OSError as error:
        flush_or_discard()
        return print_error(EnvironmentFault(f"{error.filename or 'system'}: {error.strerror or error}"))
    except Exception as error:
        if was_interrupted():  # during an import, Ctrl-C may come out as another exception
            return print_error(Stopped("stopped", 130))
        if was_announced():
            return print_error(Stopped("stopped", 143))
        if is_out_of_memory(error):
            return print_error(EnvironmentFault("out of memory: free memory on this machine"))
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if isinstance(error, ModuleNotFoundError) and error.name in PACKAGES:
            return print_error(EnvironmentFault(f"{error.name} is not installed: pip install {PACKAGES[error.name]}"))
        what = escape_controls(format_first_line(error))
        print(f"error: a bug in lstmlm: {what}: HYDRA_FULL_ERROR=1 shows where", file=sys.stderr)
        return 1
    return 0


def print_error(error: LstmlmError) -> int:
    """Print the line of an error to stderr and return its exit code.

    The message may quote a stranger's file: what would control a terminal, or begin a second line, is escaped.
    """
    if isinstance(error, ReportedElsewhere):
        return error.exit_code
    line = escape_controls(str(error) if isinstance(error, Stopped) else f"error: {error}").replace("\n", "\\n")
    print(line, file=sys.stderr)
    return error.exit_code


def make_streams_safe() -> None:
    """Make stdout and stderr escape characters that they cannot encode; replace a closed stream by the null device.

    A stream that is no file of Python's own, as in a notebook, stays as it is.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """`make_streams_safe` for the block; afterwards stdout and stderr are as they were."""
    before = sys.stdout, sys.stderr
    errors = [stream.errors if isinstance(stream, io.TextIOWrapper) else None for stream in before]
    make_streams_safe()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream, way in zip(before, errors, strict=True):
            if way is not None and isinstance(stream, io.TextIOWrapper) and not stream.closed:
                stream.reconfigure(errors=way)


def flush_or_discard() -> None:
    """Flush stdout. If its reader has ended or its disk is full, send the rest to the null device, at shutdown too."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, AttributeError):  # a stream without a file has nothing to send anywhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_first_line(error: Exception) -> str:
    """The type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
