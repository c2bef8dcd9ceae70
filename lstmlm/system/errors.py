"""What can end a command, with which exit code, and the one place that says so: in one line on stderr.

The line is `error: what: where: what to do`. Exit codes: 0 done, 1 a bug, 2 bad input, 3 diverged, 4 the machine
refused, 130 and 143 stopped.
"""

import os
import sys
from collections.abc import Callable

SHOW_TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


class LstmlmError(ValueError):
    """Ends a command with one line on stderr and `exit_code`; never with a traceback."""

    exit_code = 2


class BadInput(LstmlmError):
    """The user gave something that cannot be used: a setting, a text, a prompt, a checkpoint."""


class Diverged(LstmlmError):
    """The loss or the norm of its gradient is no longer a finite number."""

    exit_code = 3


class EnvironmentFault(LstmlmError):
    """The machine refused: disk, permission, memory, lock."""

    exit_code = 4


class Stopped(LstmlmError):
    """Ctrl-C (130) or SIGTERM (143), after the step was finished and saved."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_to_exit_code(job: Callable[[], None]) -> int:
    """Run a job; what it raises becomes one line on stderr and an exit code (0 if nothing)."""
    try:
        job()
    except BrokenPipeError:  # the reader of our text has gone (`| head`): end quietly
        flush_or_discard()
        return 0
    except KeyboardInterrupt:
        return print_error(Stopped("stopped", 130))
    except LstmlmError as error:
        return print_error(error)
    except MemoryError:
        return print_error(EnvironmentFault("out of memory: lower data.batch_size or model.num_hiddens"))
    except OSError as error:
        flush_or_discard()
        return print_error(EnvironmentFault(f"{error.filename or 'system'}: {error.strerror or error}"))
    except Exception as error:
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            return print_error(EnvironmentFault("out of memory: lower data.batch_size or model.num_hiddens"))
        if SHOW_TRACEBACKS:
            raise
        print(f"error: a bug in lstmlm: {format_first_line(error)}: HYDRA_FULL_ERROR=1 shows where", file=sys.stderr)
        return 1
    return 0


def print_error(error: LstmlmError) -> int:
    print(f"error: {error}" if not isinstance(error, Stopped) else str(error), file=sys.stderr)
    return error.exit_code


def make_streams_safe() -> None:
    """A terminal that lacks a character gets its escape, not an exception; and there is one, if only in name."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="backslashreplace")


def flush_or_discard() -> None:
    """Flush stdout; if its reader has gone or its disk is full, what is left goes nowhere, at shutdown too."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
