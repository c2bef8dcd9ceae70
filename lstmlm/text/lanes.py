"""The lanes of a batch that a process computes, where several processes share a run.

B = batch_size of the run.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Part `index` of `count` equal parts of the lanes: lane k is in part k // (B / count)."""

    index: int = 0
    count: int = 1

    def take(self, whole: Tensor, dim: int) -> Tensor:
        """The own lanes of a tensor whose dimension `dim` are all lanes: a view; the tensor itself for one process."""
        if self.count == 1:
            return whole
        lanes = whole.shape[dim] // self.count
        return whole.narrow(dim, self.index * lanes, lanes)


ALL_LANES = Share()
