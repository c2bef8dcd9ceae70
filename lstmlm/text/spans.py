"""The documents in a batch: each is a span of the steps of a lane, and starts from a state of its own. No torch.

B = batch_size, T = num_steps, S = number of spans, N = sum of their lengths.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lstmlm.system.arrays import Booleans, Ids

CALL = 50  # steps of a span that cost as much as a call of nn.LSTM (benchmarks/LOG.md)


@dataclass(frozen=True)
class Spans:
    """The spans of a batch (T, B), in the order of their lanes and, in a lane, of their starts; each (S,).

    Every lane has a span that starts at step 0: from the state of the lane. The others start from the zero state. What
    is in no span has no meaning, and need not be computed.

    Attributes:
        lanes: the lane of each.
        starts: its first step.
        lengths: the number of its steps, 1 or more.
        goes_on: whether its document goes on in the next batch, so that the state at its end is wanted.
    """

    lanes: Ids
    starts: Ids
    lengths: Ids
    goes_on: Booleans

    @property
    def num_lanes(self) -> int:
        return int(self.lanes[-1]) + 1

    @cached_property
    def packed(self) -> "PackedSpans":
        """The spans as they are."""
        return pack_spans(self, self.lengths)

    @cached_property
    def rounded(self) -> "PackedSpans":
        """The spans with few different lengths, none shorter than its own.

        They are for layers that are called from one length to the next. A span that goes on keeps its length. Of all
        other choices this is the one with the fewest steps of all spans, where each different length counts as CALL of
        them.
        """
        lengths = self.lengths
        places = np.unique(lengths)  # where a span may end, in rising order
        exact = np.isin(places, lengths[self.goes_on])
        begins = np.concatenate([[0], places])
        rows = len(lengths) - np.searchsorted(np.sort(lengths), begins, "right")  # that are left at each place
        cost, best = np.zeros(len(begins)), np.zeros(len(begins), np.int64)
        first = 0  # the last place, so far, where spans must end: no call may pass it
        for k, place in enumerate(places, 1):
            costs = cost[first:k] + (place - begins[first:k]) * rows[first:k]
            best[k] = first + costs.argmin()
            cost[k] = costs.min() + CALL
            first = k if exact[k - 1] else first
        chosen, k = [], len(places)
        while k:
            chosen.append(begins[k])
            k = best[k]
        chosen.reverse()
        return pack_spans(self, np.array(chosen)[np.searchsorted(chosen, lengths)])


class PackedSpans(NamedTuple):
    """Spans as rows, the longest first; of each step only the rows that are left, one step after the other: N rows, as
    in PyTorch's PackedSequence.

    The states are the S ones before the first step, and then one after each packed row.

    Attributes:
        left: the number of rows at each step, int32, up to the longest span's end.
        places: the place of each packed row in (T*B, ...), (N,).
        own: which packed rows are steps of their spans, and not only of the rounded ones.
        before: which of the S + N states is the one before each packed row, (N,).
        first_rows: which of the S rows is the first span of each lane, (B,).
        last_rows: which is the last one, (B,).
        last_states: which of the S + N states is the one after the last span of each lane, (B,).
    """

    left: Ids
    places: Ids
    own: Ids
    before: Ids
    first_rows: Ids
    last_rows: Ids
    last_states: Ids


def pack_spans(spans: Spans, lengths: Ids) -> PackedSpans:
    """The spans packed with these lengths, (S,), none shorter than its own. What is beyond its own end has the place of
    its last step.
    """
    S, B, steps = len(lengths), spans.num_lanes, int(lengths.max())
    order = np.argsort(-lengths, kind="stable")
    row_of = np.empty(S, np.int64)
    row_of[order] = np.arange(S)
    left = S - np.searchsorted(np.sort(lengths), np.arange(steps), "right")
    starts = np.concatenate([[0], left.cumsum()])
    step = np.repeat(np.arange(steps), left)
    row = np.arange(starts[-1]) - starts[step]
    span, is_last = order[row], np.append(spans.starts[1:] == 0, True)
    own_step = np.minimum(step, spans.lengths[span] - 1)
    last_states = S + starts[lengths - 1] + row_of
    return PackedSpans(
        left=left.astype(np.int32),
        places=(spans.starts[span] + own_step) * B + spans.lanes[span],
        own=np.flatnonzero(own_step == step),
        before=np.where(step == 0, row, S + starts[step - 1] + row),
        first_rows=row_of[spans.starts == 0],
        last_rows=row_of[is_last],
        last_states=last_states[is_last],
    )
