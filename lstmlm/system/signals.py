"""Ctrl-C and SIGTERM: finish the step and save first; a second Ctrl-C stops at once; SIGHUP is ignored."""

import signal


class StopRequest:
    """A context in which the first SIGINT or SIGTERM is only remembered.

    `exit_code` is None until one comes, then 130 or 143. The second SIGINT raises KeyboardInterrupt. SIGHUP, which a
    terminal sends when it is closed, is not listened to.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame) -> None:
        if self.exit_code is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.exit_code = 128 + number
