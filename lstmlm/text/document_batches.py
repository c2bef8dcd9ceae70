"""Documents as minibatches: each from the zero state, its begin and end symbol included.

N = ids of a part, B = batch_size, T = num_steps. In the ids the boundary stands before each document and after it, so a
document of n characters has n + 1 inputs, the boundary first, and n + 1 targets, the boundary last. With labels the
mark of the label is the first input.

Short documents, of up to T targets, stand one after the other in lanes that end at about the same time, which may be a
little after T. A batch has as many as make about B*T targets, whatever their lengths: batches of like lengths learn
less (benchmarks/LOG.md). The windows of long documents, of equal lengths, are in lanes, one document after the other,
with the state carried to the next window of the same document. What is left of a lane is filled up with targets that
cost nothing. Where several processes share a run, each has as many lanes of a batch; what is left of the lanes of the
last ones is filled up too.
"""

import heapq
import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lstmlm.system.arrays import Ids
from lstmlm.text.batches import State, Streams
from lstmlm.text.labels import add_labels
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.text.spans import Spans

IGNORED = -100  # as a target: torch's cross_entropy leaves it out
PARTS = 8  # of T, of which windows are multiples


def locate_documents(ids: Tensor, boundary: int) -> tuple[Tensor, Tensor]:
    """Where each document of framed ids (N,) begins, with the symbol before it, and its number of targets."""
    ends = torch.nonzero(ids == boundary).flatten()
    if len(ids) and ids[0] == boundary:
        return ends[:-1], ends.diff()
    starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1] + 1])[: len(ends)]
    return starts, ends - starts


def deal(sizes: list[int], num_lanes: int) -> tuple[list[int], list[int]]:
    """The lane of each thing, and the size of what is before it there.

    The largest are dealt first, each to the lane that has the least, so that the lanes end at about the same time.
    """
    lanes, steps = [0] * len(sizes), [0] * len(sizes)
    loads = [(0, lane) for lane in range(num_lanes)]
    for k in sorted(range(len(sizes)), key=lambda k: -sizes[k]):
        steps[k], lanes[k] = loads[0]
        heapq.heapreplace(loads, (steps[k] + sizes[k], lanes[k]))
    return lanes, steps


class DocumentBatches(Streams):
    """The documents of ids (N,); every one is in every epoch once, in an order drawn anew.

    `batch_size` is the number of lanes of the long documents, if there are any. With `num_labels`, of `vocab_size`
    symbols, the characters in X have the labels of their documents (labels.py).
    """

    def __init__(
        self,
        ids: Tensor,
        batch_size: int,
        num_steps: int,
        boundary: int,
        device: torch.device | str = "cpu",
        share: Share = ALL_LANES,
        num_labels: int = 0,
        vocab_size: int = 0,
    ) -> None:
        self.share = share
        self.num_steps, self.device, self.ids, self.boundary = num_steps, torch.device(device), ids, boundary
        self.starts, self.lengths = locate_documents(ids, boundary)
        self.begins = torch.cat([ids[self.starts], torch.tensor([boundary])]).unique()  # as inputs: nothing before them
        self.inputs = add_labels(ids.numpy(), num_labels, vocab_size)
        self.num_labels, self.vocab_size = num_labels, vocab_size
        self.short = torch.nonzero(self.lengths <= num_steps).flatten()
        self.long = torch.nonzero(self.lengths > num_steps).flatten()
        self.batch_size = min(batch_size, len(self.long)) or batch_size
        num_targets = int(self.lengths[self.short].sum())
        self.num_short = -(-num_targets // (batch_size * num_steps))  # batches of short documents
        self.steps_per_epoch = self.num_short + max(map(len, self.fill_lanes(torch.Generator())), default=0)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of short documents in any order, and somewhere between them those of the long ones."""
        short = self.short[torch.randperm(len(self.short), generator=generator)]
        batches = list(short.tensor_split(self.num_short)) if self.num_short else []
        lanes = self.fill_lanes(generator)
        place = int(torch.randint(len(batches) + 1, (), generator=generator))
        for documents in batches[:place]:
            yield self.make_short_batch(documents)
        for k in range(max(map(len, lanes), default=0)):
            windows = [lane[k] if k < len(lane) else (0, 0) for lane in lanes]
            begins, lengths = np.array(windows).T
            yield self.lay_out(begins, lengths, np.arange(len(lanes)), np.zeros_like(begins))
        for documents in batches[place:]:
            yield self.make_short_batch(documents)

    def fill_lanes(self, generator: torch.Generator) -> list[list[tuple[int, int]]]:
        """The windows (begin, number of targets) of the long documents, lane by lane, in an order that is drawn.

        The longest lane has the same length in every epoch.
        """
        long = self.long[torch.randperm(len(self.long), generator=generator)]
        windows = -(-self.lengths[long] // self.num_steps)
        dealt: list[list[int]] = [[] for _ in range(min(self.batch_size, len(long)))]
        for document, lane in zip(long.tolist(), deal(windows.tolist(), len(dealt))[0], strict=True):
            dealt[lane].append(document)
        lanes = []
        for documents in dealt:
            order = torch.randperm(len(documents), generator=generator).tolist()
            lanes.append([window for k in order for window in self.cut_document(documents[k])])
        return lanes

    def cut_document(self, document: int) -> list[tuple[int, int]]:
        """The windows (begin, number of targets) of a document, of equal lengths, nearly.

        A last window of what is left would be short, and as the loss is the mean over a batch, its end would count as
        much as the whole document before it: samples then end too early. All windows but the last are multiples of T /
        PARTS where that is possible, so that they end at few different steps (spans.py).
        """
        start, length = int(self.starts[document]), int(self.lengths[document])
        count = -(-length // self.num_steps)
        unit = math.gcd(self.num_steps, self.num_steps // PARTS or 1)
        cuts = [*(-(-length * k // (count * unit)) * unit for k in range(count)), length]
        return [(start + begin, end - begin) for begin, end in itertools.pairwise(cuts)]

    def make_short_batch(self, documents: Tensor) -> tuple[Tensor, Tensor]:
        """X and Y of whole documents."""
        begins, lengths = self.starts[documents].numpy(), self.lengths[documents].numpy()
        lanes, steps = deal(lengths.tolist(), -(-int(lengths.sum()) // self.num_steps))
        return self.lay_out(begins, lengths, np.array(lanes), np.array(steps))

    def lay_out(self, begins: Ids, lengths: Ids, lanes: Ids, steps: Ids) -> tuple[Tensor, Tensor]:
        """X and Y (B, T) of windows, each with its place in the ids, its number of targets, its lane and its first step
        there; filled up with the boundary and IGNORED.
        """
        B, T, before = int(lanes.max()) + 1, int((steps + lengths).max()), lengths.cumsum() - lengths
        counted = np.arange(lengths.sum())
        places = counted + np.repeat(lanes * T + steps - before, lengths)
        sources = counted + np.repeat(begins - before, lengths)
        X, Y = np.full(B * T, self.boundary), np.full(B * T, IGNORED)
        X[places], Y[places] = self.inputs[sources], self.ids.numpy()[sources + 1]
        return self.batch(torch.from_numpy(X.reshape(B, T)), torch.from_numpy(Y.reshape(B, T)))

    def batch(self, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
        X, Y = self.share.take(X, 0, self.boundary), self.share.take(Y, 0, IGNORED)
        return X.to(self.device, torch.int64), Y.to(self.device, torch.int64)

    def carry(self, state: State, X: Tensor) -> State | None:
        """Only a window that does not begin with the symbol before a document goes on with its document."""
        if state[0].shape[1] != X.shape[0]:
            return None
        goes_on = ~torch.isin(self.remove_labels(X[:, 0]), self.begins.to(X))[None, :, None]
        return tuple(part * goes_on for part in state)

    def remove_labels(self, X: Tensor) -> Tensor:
        """The characters of inputs, which have the labels of their documents."""
        return X % self.vocab_size if self.num_labels else X

    def count_targets(self, Y: Tensor) -> int:
        return int((Y != IGNORED).sum())

    def find_spans(self, X: Tensor, Y: Tensor) -> Spans | None:
        x, y = self.remove_labels(X).cpu().numpy(), Y.cpu().numpy()
        counts = y != IGNORED
        begins = np.isin(x, self.begins.numpy()) & counts
        begins[:, 0] = True  # or a document goes on there
        lanes, starts = np.nonzero(begins)
        ends = np.append(starts[1:], 0)
        is_last = ends == 0
        filled = y.shape[1] - counts[:, ::-1].argmax(1)  # the step after the last target of each lane
        ends[is_last] = np.where(counts.any(1), filled, 1)
        last = y[lanes, ends - 1]
        return Spans(lanes, starts, ends - starts, (last != self.boundary) & (last != IGNORED))

    def weigh(self, Y: Tensor) -> int | None:
        return None if self.share.count == 1 else self.count_targets(Y)
