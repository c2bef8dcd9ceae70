"""The lanes of a batch that a process computes, where several processes share a run.

B = batch_size of the run.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Part `index` of `count` equal parts of the lanes: lane k is in part k // (B / count), B / count rounded up."""

    index: int = 0
    count: int = 1

    def count_lanes(self, lanes: int) -> int:
        """How many of so many lanes are in a part; where they cannot be divided, the last parts are filled up."""
        return -(-lanes // self.count)

    def take(self, whole: Tensor, dim: int, fill: int = 0) -> Tensor:
        """The own lanes of a tensor whose dimension `dim` are all lanes; the tensor itself for one process, else a view
        where the lanes can be divided. What is missing of the last parts has the value `fill`.
        """
        if self.count == 1:
            return whole
        lanes = self.count_lanes(whole.shape[dim])
        if missing := lanes * self.count - whole.shape[dim]:
            shape = [missing if k == dim else size for k, size in enumerate(whole.shape)]
            whole = torch.cat([whole, whole.new_full(shape, fill)], dim)
        return whole.narrow(dim, self.index * lanes, lanes)


ALL_LANES = Share()
