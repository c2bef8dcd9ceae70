"""Truncated back-propagation through time: a long text as minibatches (d2l section 9.7).

n = characters, B = batch_size, T = num_steps. Both kinds start at a fresh random offset each epoch and give the same
number of batches in every epoch. X and Y are (B, T) ids; Y is X one character later.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from lstmlm.system.errors import BadInput
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.text.spans import Spans

State = tuple[Tensor, ...]  # of a model, each part (L, B, H)


def fit_batch_size(num_chars: int, batch_size: int, num_steps: int) -> int:
    """The largest batch size, up to `batch_size`, of which the text fills one batch (B*T + 1 <= n)."""
    fits = min(batch_size, (num_chars - 1) // num_steps)
    if fits < 1:
        raise BadInput(
            f"data.num_steps: the training text has {num_chars} characters, and {num_steps} steps need at "
            f"least {num_steps + 1}: give a longer text or a smaller data.num_steps"
        )
    return fits


class Streams(ABC):
    """The ids (n,) of a text and the length of an epoch; a subclass defines the batches of an epoch.

    `ids` are int64, or of a smaller type in a mapped file. Batches are int64, on `device`, and have the lanes of
    `share`: where several processes share a run, B / share.count of them.
    """

    share: Share = ALL_LANES

    def __init__(
        self,
        ids: Tensor,
        batch_size: int,
        num_steps: int,
        device: torch.device | str = "cpu",
        share: Share = ALL_LANES,
    ) -> None:
        assert len(ids) > batch_size * num_steps, "batch_size is larger than fit_batch_size allows"
        self.batch_size, self.num_steps, self.device = batch_size, num_steps, torch.device(device)
        self.share = share
        # Ids mapped from a file stay there; ids in memory move to the device
        self.ids = ids.to(self.device) if ids.dtype == torch.int64 else ids
        # As many as fit after the largest offset, so that every epoch has the same length; at least one batch
        self.steps_per_epoch = max(1, (len(ids) - num_steps) // batch_size // num_steps)

    @abstractmethod
    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches (X, Y) of one epoch. The generator, on the CPU, is used only before the first batch."""

    @abstractmethod
    def carry(self, state: State, X: Tensor) -> State | None:
        """The state from which X (B, T) is read, given the one after the batch before it; None: the zero state."""

    def count_targets(self, Y: Tensor) -> int:
        """The number of characters of Y (B, T) that are learnt from."""
        return Y.numel()

    def find_spans(self, X: Tensor, Y: Tensor) -> Spans | None:
        """The documents in X and Y (B, T); None where a lane is one text."""
        return None

    def weigh(self, Y: Tensor) -> int | None:
        """The number of targets of Y (B, T), if the processes may have different numbers of them; else None."""
        return None

    @property
    def own_lanes(self) -> int:
        """How many lanes this process has."""
        return self.share.count_lanes(self.batch_size)

    def batch(self, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        """The own lanes of X and Y (B, T) as the model takes them; no copy where they are so already."""
        X, Y = self.share.take(X, 0), self.share.take(Y, 0)
        return X.to(self.device, torch.int64), Y.to(self.device, torch.int64)

    def draw_offset(self, generator: torch.Generator) -> int:
        """Uniform in 0 .. T-1 (d2l's includes T by a slip); in a shorter range where the text barely suffices."""
        spare = len(self.ids) - 1 - self.steps_per_epoch * self.batch_size * self.num_steps
        return int(torch.randint(min(self.num_steps, spare + 1), (), generator=generator))


class SequentialStreams(Streams):
    """B lanes of contiguous text, T characters at a time: the state is carried from batch to batch."""

    def carry(self, state: State, X: Tensor) -> State | None:
        return state

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        B, T, offset = self.batch_size, self.num_steps, self.draw_offset(generator)
        length = (len(self.ids) - 1 - offset) // B
        lanes = self.ids[offset : offset + B * length].view(B, length)
        following = self.ids[offset + 1 : offset + 1 + B * length].view(B, length)
        for start in range(0, self.steps_per_epoch * T, T):
            yield self.batch(lanes[:, start : start + T], following[:, start : start + T])


class RandomWindows(Streams):
    """Shuffled windows of T characters that do not overlap, each from the zero state."""

    def carry(self, state: State, X: Tensor) -> State | None:
        return None

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        B, T, offset = self.batch_size, self.num_steps, self.draw_offset(generator)
        count = (len(self.ids) - 1 - offset) // T
        windows = self.ids[offset : offset + count * T].view(count, T)
        following = self.ids[offset + 1 : offset + 1 + count * T].view(count, T)
        order = torch.randperm(count, generator=generator).to(self.ids.device)
        for batch in order[: self.steps_per_epoch * B].view(-1, B):
            yield self.batch(windows[batch], following[batch])


STREAMS: dict[str, type[Streams]] = {"sequential": SequentialStreams, "random": RandomWindows}
