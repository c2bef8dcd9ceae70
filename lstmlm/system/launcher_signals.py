"""The signals by which a launcher of jobs, as submitit, announces on a cluster that the time of a job ends.

The launcher has installed a handler for them, which sees to it that the job starts again, and ends the process by an
exception. Raised in an import, such an exception may come out as another one, or be swallowed.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

ANNOUNCEMENTS = [getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]  # where they exist


class JobEnds(BaseException):
    """The launcher has announced the end of the job. No Exception: nobody takes it for a fault of his own."""


class AnnouncementHandler:
    """Raises JobEnds at the first announcement. `before` is the handler of the launcher."""

    def __init__(self, before: Any) -> None:
        self.before, self.has_come = before, False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.has_come:
            self.has_come = True
            raise JobEnds


@contextlib.contextmanager
def end_on_announcement() -> Iterator[None]:
    """An announcement ends the block by JobEnds, which goes no further, and then reaches the launcher's handler.

    That raises SystemExit if the job will start again. The exception of a launcher that does not start it again is
    dropped: the job has then been stopped, as by SIGTERM.
    """
    handlers: dict[int, AnnouncementHandler] = {}
    if threading.current_thread() is threading.main_thread():
        found = ((number, signal.getsignal(number)) for number in ANNOUNCEMENTS)
        handlers = {number: AnnouncementHandler(before) for number, before in found if callable(before)}
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    except JobEnds:
        pass
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler.before)
    for number, handler in handlers.items():
        if handler.has_come:
            with contextlib.suppress(Exception):
                handler.before(number, None)


def was_announced() -> bool:
    """Has the end of the job been announced, whatever became of the exception?"""
    handlers = map(signal.getsignal, ANNOUNCEMENTS)
    return any(isinstance(handler, AnnouncementHandler) and handler.has_come for handler in handlers)
