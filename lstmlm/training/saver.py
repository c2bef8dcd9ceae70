"""The checkpoints of a run: `last`, `previous` (the last one before it) and `best`."""

import contextlib
import time
from pathlib import Path
from typing import Any

from lstmlm.checkpoints import arrays, checkpoint
from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.checkpoints.files import BEST, LAST, PREVIOUS
from lstmlm.layers.contract import Tensors
from lstmlm.system.errors import BadInput, Diverged


class Saver:
    """Writes the checkpoints into the run directory.

    `description` is what the record of every checkpoint of the run holds besides the state of the loop: vocabulary,
    model, settings, and the hashes of the text.
    """

    def __init__(self, directory: Path, description: dict[str, Any]) -> None:
        self.directory, self.description = directory, description
        self.saved_at = time.perf_counter()
        self.last_step: int | None = None  # of `last`

    def save_last(self, tensors: Tensors, record: dict[str, Any]) -> Checkpoint:
        """Write `last`, with `record` as the state of the loop; the one before becomes `previous`, or is replaced if it
        is of the same step.

        Returns what was written. The caller has seen that the numbers are finite (check_finite).
        """
        written = Checkpoint(tensors, self.description | record)
        if record["step"] == self.last_step:
            checkpoint.save_checkpoint(self.last, written.tensors, written.record)
        else:
            checkpoint.save_last_checkpoint(self.directory, written.tensors, written.record)
        self.last_step, self.saved_at = record["step"], time.perf_counter()
        return written

    def save_best(self, last: Checkpoint) -> None:
        """Write `best`: what was just written as `last`."""
        checkpoint.save_checkpoint(self.directory / BEST, last.tensors, last.record)

    def load_best(self) -> Checkpoint:
        return checkpoint.load_checkpoint(self.directory / BEST)

    def restore_best(self, loaded: Checkpoint) -> bool:
        """See that `best` is the file that a checkpoint of the run refers to; False if it is not to be had."""
        step, best = loaded.record["step"], self.directory / BEST
        self.last_step = step
        if loaded.record["metrics"].get("step") != step:
            return best.exists()  # else it is in another directory
        if not holds_step(best, step):  # the run was killed between `last` and `best`, or starts in a new directory
            checkpoint.save_checkpoint(best, loaded.tensors, loaded.record)
        return True

    def describe_newest_good(self) -> str:
        """Which file holds the run, whatever moment it was stopped at."""
        for name in (LAST, PREVIOUS):
            with contextlib.suppress(BadInput, OSError):
                step = checkpoint.load_checkpoint(self.directory / name).record["step"]
                return f"{self.directory / name} is whole, of step {step}: resume the run with resume={self.directory}"
        return "nothing was saved yet"

    def is_due(self, minutes: float | None) -> bool:
        """Did so many minutes pass since `last` was written?"""
        return minutes is not None and time.perf_counter() - self.saved_at > minutes * 60

    @property
    def last(self) -> Path:
        return self.directory / LAST


def check_finite(tensors: Tensors, step: int) -> None:
    """Diverged if a number is not finite, or a weight too large to compute with. Waits for the device."""
    if name := arrays.find_unsound(tensors):
        raise Diverged(f"training diverged at step {step}: {name} is not finite, or too large: lower train.lr")


def holds_step(path: Path, step: int) -> bool:
    """Is this a good checkpoint of that step?"""
    try:
        return bool(checkpoint.load_checkpoint(path).record["step"] == step)
    except BadInput:
        return False
