"""Ctrl-C and SIGTERM request a stop after the current step; a second Ctrl-C stops at once; SIGHUP is ignored."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lstmlm.system.launcher_signals import ANNOUNCEMENTS, AnnouncementHandler


class Interrupted(Exception):
    """A signal asked for a stop during work that may be dropped."""


class StopRequest:
    """A context manager that records the first SIGINT or SIGTERM instead of stopping the process.

    `exit_code` is None until a signal arrives, then 130 (SIGINT) or 143 (SIGTERM). A SIGINT after the first signal
    raises KeyboardInterrupt. SIGHUP, which a terminal sends when it is closed, is ignored; with `hangup` it is as
    SIGTERM, because torchrun, which passes its signals on, will end the process in any case.

    A launcher of jobs on a cluster has handlers of its own: its SIGTERM stays with it, and its SIGUSR1 or SIGUSR2,
    which announces the end of the job, asks for a stop, and goes to its handler when the block has ended. The handler
    then sees to it that the job starts again.

    Python delivers signals to the main thread alone: in another thread nothing is recorded.
    """

    def __init__(self, hangup: bool = False) -> None:
        self.exit_code: int | None = None
        self._interrupts = self._received = False
        self._hangup = hangup
        self._announced: int | None = None  # the launcher's signal

    def __enter__(self) -> "StopRequest":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {signal.SIGINT: signal.signal(signal.SIGINT, self._request)}
            if not callable(signal.getsignal(signal.SIGTERM)):
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._request)
            for number in ANNOUNCEMENTS:
                if callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._pass_on)
            if hasattr(signal, "SIGHUP"):
                handler = self._request if self._hangup else signal.SIG_IGN
                self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._announced is not None:
            handler = self._before[self._announced]
            if isinstance(handler, AnnouncementHandler) and kind is not None:
                handler.has_come = True  # the exception of the block ends the job already, and says what is saved
            else:
                handler(self._announced, None)

    @contextlib.contextmanager
    def interrupts(self) -> Iterator[None]:
        """A signal, also one that has arrived before, raises Interrupted in the block: for work that may be dropped."""
        self._interrupts = True
        try:
            if self.exit_code is not None:
                raise Interrupted
            yield
        finally:
            self._interrupts = False

    def ask(self, exit_code: int) -> None:
        """Request a stop for another process, which has received a signal."""
        if self.exit_code is None:
            self.exit_code = exit_code

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._announced, self.exit_code = number, 128 + signal.SIGTERM
        if self._interrupts:
            raise Interrupted

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = True
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
        if self._interrupts:
            raise Interrupted
