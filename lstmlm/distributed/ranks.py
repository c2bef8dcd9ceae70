"""What the training loop asks of the other processes of its run, and the answers where there are none.

L = num_layers, B = batch_size of the run, H = num_hiddens.
"""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.model.rnn_model import State
from lstmlm.system.signals import StopRequest
from lstmlm.text.lanes import ALL_LANES, Share


class Averages(Protocol):
    """What the training step asks, on every rank."""

    def average(
        self, params: Sequence[nn.Parameter], loss: Tensor, num_targets: int | None = None
    ) -> tuple[Tensor, int | None]:
        """Replace the gradients of the parameters by their mean over the ranks; returns the mean of the loss.

        If `num_targets`, of this rank, is given, each rank counts by that number, and their sum is returned too. A rank
        without targets counts nothing, whatever its gradients and its loss are.
        """
        ...


class Ranks(Averages, Protocol):
    """What rank 0, which alone evaluates, logs and saves, asks of the other ranks."""

    share: Share  # the lanes of this process

    def connect(self) -> None:
        """Meet the others. EnvironmentFault if they do not come."""
        ...

    def announce(self, description: dict[str, Any], device: str, timeout: float) -> None:
        """Let the others prepare a run: its description, as a checkpoint's record has it, and its device.

        From now on a rank that does not answer for `timeout` seconds ends the run.
        """
        ...

    def begin(self, start: Checkpoint, stop: StopRequest) -> None:
        """Let the others begin where `start` was taken. A signal to one of them asks `stop` to stop."""
        ...

    def step(self, lr: float) -> AbstractContextManager[None]:
        """A context in which all ranks make an optimizer step at this rate."""
        ...

    def gather(self, own: State | None) -> State | None:
        """The state of all lanes, each part (L, B, H), from that of the own lanes."""
        ...


class OneProcess:
    """There are no others."""

    share = ALL_LANES

    def connect(self) -> None:
        pass

    def announce(self, description: dict[str, Any], device: str, timeout: float) -> None:
        pass

    def begin(self, start: Checkpoint, stop: StopRequest) -> None:
        pass

    def step(self, lr: float) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def average(
        self, params: Sequence[nn.Parameter], loss: Tensor, num_targets: int | None = None
    ) -> tuple[Tensor, int | None]:
        return loss, num_targets

    def gather(self, own: State | None) -> State | None:
        return own


ONE_PROCESS = OneProcess()
