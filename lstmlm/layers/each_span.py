"""A batch of spans for any layer: it is called from one end of a span to the next.

T = num_steps, B = batch_size, F = number of features, H = num_hiddens, S = number of spans, N = sum of their lengths.

backend=fused computes spans in one call (fused_spans.py).
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lstmlm.system.arrays import Ids
from lstmlm.text.spans import Spans

State = tuple[Tensor, ...]  # of a layer, each part (B, H)


def call_for_spans(
    layer: Callable[[Tensor, State], tuple[Tensor, State]], X: Tensor, state: State, spans: Spans
) -> tuple[Tensor, State]:
    """`layer(X, state)`, X (T, B, F) or ids (T, B), for each span alone.

    Returns Y (T, B, H), zero outside of spans, and the next state, which has a meaning where the last span of a lane
    goes on.
    """
    packed, (T, B), S = spans.rounded, X.shape[:2], len(spans.lengths)
    places, own, first_rows, last_rows = (
        torch.from_numpy(part).to(X.device) for part in (packed.places, packed.own, packed.first_rows, packed.last_rows)
    )
    X = X.flatten(0, 1).index_select(0, places)
    going = tuple(part.new_zeros(S, part.shape[1]).index_copy(0, first_rows, part) for part in state)
    outputs, ended = [], []
    for begin, end, after in find_calls(packed.left):
        count, rows = (end - begin) * len(going[0]), len(going[0])
        Y, going = layer(X[:count].unflatten(0, (end - begin, rows)), going)
        X = X[count:]
        outputs.append(Y.flatten(0, 1))
        ended.append(tuple(part[after:] for part in going))
        going = tuple(part[:after] for part in going)
    states = tuple(torch.cat(parts[::-1]).index_select(0, last_rows) for parts in zip(*ended, strict=True))
    computed = torch.cat(outputs)[own]
    Y = computed.new_zeros(T * B, computed.shape[1]).index_copy(0, places[own], computed)
    return Y.unflatten(0, (T, B)), states


def find_calls(left: Ids) -> list[tuple[int, int, int]]:
    """The first step of each call, the step after its last one, and the number of rows that are left then."""
    ends = [*(np.flatnonzero(np.diff(left)) + 1).tolist(), len(left)]
    return [(begin, end, int(left[end]) if end < len(left) else 0) for begin, end in itertools.pairwise([0, *ends])]
