"""Ctrl-C outside of training, from the first line of the program on.

The handler is installed by the programs (train.py, lstmlm) before they import anything that takes time.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

INTERRUPTED = 130  # the exit code


class InterruptHandler:
    """The first Ctrl-C raises KeyboardInterrupt, or ends the process if `at_once`; the second one ends the process.

    An import that is interrupted may swallow the exception, or raise another one: hence `at_once`, and `count`.
    """

    def __init__(self) -> None:
        self.count, self.at_once, self.quiet = 0, False, False
        self.made: Path | None = None  # a directory that is removed at the end, if it is empty

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.at_once or self.count > 1:
            if not self.quiet:
                os.write(2, b"stopped\n")
            with contextlib.suppress(OSError):
                if self.made is not None:
                    self.made.rmdir()
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt


def handle_interrupts() -> None:
    """Install the handler, unless Ctrl-C is ignored, as a shell asks of what it starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, InterruptHandler())


@contextlib.contextmanager
def exit_on_interrupt(made: Path | None = None) -> Iterator[None]:
    """Ctrl-C ends the process in the block, if the handler is installed: for imports, where nothing is lost.

    The directory `made` is then removed, if it is empty.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, InterruptHandler):
        yield
        return
    before, handler.at_once, handler.made = handler.at_once, True, made
    try:
        yield
    finally:
        handler.at_once, handler.made = before, None


def leave_report_to_another_process() -> None:
    """Ctrl-C, which reaches all processes of a run, is reported by one of them."""
    if isinstance(handler := signal.getsignal(signal.SIGINT), InterruptHandler):
        handler.quiet = True


def was_interrupted() -> bool:
    """Did the user press Ctrl-C, whatever became of the exception?"""
    handler = signal.getsignal(signal.SIGINT)
    return isinstance(handler, InterruptHandler) and handler.count > 0


def ignore_interrupts() -> None:
    """All is done: Ctrl-C while Python ends is ignored."""
    if isinstance(signal.getsignal(signal.SIGINT), InterruptHandler):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
