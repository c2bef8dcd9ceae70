"""The clock of a run: wall time, CPU time, and the wall time of training steps alone. All in seconds."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any


class Clock:
    """Starts when it is made. What passed before a resume is included in every reading.

    `cpu_started` is what time.process_time() gave when the run began: other runs in the process came before it.
    """

    def __init__(self, cpu_started: float) -> None:
        self.cpu_started: float | None = cpu_started
        self.started = self.lap_started = time.perf_counter()
        self.training_seconds = 0.0  # of finished laps: evaluation and saving left out

    @property
    def seconds(self) -> float:
        """Since the start, evaluation and saving included."""
        return time.perf_counter() - self.started

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time of all threads since the run began; None if it was resumed from a file that does not have it."""
        return None if self.cpu_started is None else time.process_time() - self.cpu_started

    def start_lap(self) -> None:
        """Training steps follow."""
        self.lap_started = time.perf_counter()

    def end_lap(self) -> float:
        """The seconds that the training steps since `start_lap` took; they are added to `training_seconds`."""
        seconds = time.perf_counter() - self.lap_started
        self.training_seconds += seconds
        return seconds

    @contextlib.contextmanager
    def pause_lap(self) -> Iterator[None]:
        """The time of the block does not count as training."""
        began = time.perf_counter()
        yield
        self.lap_started += time.perf_counter() - began

    def to_record(self) -> dict[str, Any]:
        """The readings, for a checkpoint; cpu_seconds only if they are known."""
        readings = {"seconds": self.seconds, "training_seconds": self.training_seconds}
        return readings if self.cpu_seconds is None else readings | {"cpu_seconds": self.cpu_seconds}

    def restore(self, record: dict[str, Any]) -> None:
        """Continue from the readings of `to_record`, for a clock that was made just now."""
        self.started -= record["seconds"]
        self.training_seconds = record["training_seconds"]
        if self.cpu_started is not None:
            self.cpu_started = self.cpu_started - record["cpu_seconds"] if "cpu_seconds" in record else None
