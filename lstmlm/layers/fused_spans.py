"""backend=fused for a batch of spans: the kernel computes each of them from its start to its end.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens, S = number of spans, N = sum of their lengths.
Float32 on a CPU.
"""

from typing import Any

import torch
from torch import Tensor, from_numpy
from torch.autograd.function import once_differentiable

from lstmlm.layers import fused_native
from lstmlm.layers.graph import graph_is_kept
from lstmlm.text.spans import Spans


class FusedSpans(torch.autograd.Function):
    """As FusedLayer: (X, W_x, W_h, b, H, C) -> hidden states (T, B, H), zero outside of spans, and the last H and C."""

    @staticmethod
    def forward(
        ctx: Any, X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, H: Tensor, C: Tensor, spans: Spans
    ) -> tuple[Tensor, Tensor, Tensor]:
        (T, B), S, packed = X.shape[:2], len(spans.lengths), spans.packed
        places, first_rows, last_states = map(from_numpy, (packed.places, packed.first_rows, packed.last_states))
        X = X.flatten(0, 1).index_select(0, places)
        Hs, Cs = W_h.new_empty(2, S + len(places), len(W_h))
        for states, start in ((Hs, H), (Cs, C)):
            states[:S] = 0
            states[first_rows] = start
        gates = fused_native.forward(X, W_x, W_h, b, Hs, Cs, from_numpy(packed.left))
        ctx.save_for_backward(X, W_x, W_h, gates, Hs, Cs)
        ctx.packed, ctx.num_spans = packed, S
        return unpack(Hs[S:], places, T, B), Hs[last_states], Cs[last_states]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dY: Tensor, dH: Tensor, dC: Tensor) -> tuple[Tensor | None, ...]:
        X, W_x, W_h, gates, Hs, Cs = ctx.saved_tensors
        packed = ctx.packed
        places, first_rows, last_rows = map(from_numpy, (packed.places, packed.first_rows, packed.last_rows))
        if graph_is_kept():
            gates = gates.clone()  # dG takes their place
        wants_dX, _, _, _, wants_dH, *_ = ctx.needs_input_grad
        dH, dC = (part.new_zeros(ctx.num_spans, len(W_h)).index_copy_(0, last_rows, part) for part in (dH, dC))
        grads, left = (dY.flatten(0, 1).index_select(0, places), dH, dC), from_numpy(packed.left)
        dG, dH_0, dC_0, dX = fused_native.backward(W_x, W_h, gates, Cs, grads, wants_dX, wants_dH, left)
        dW = fused_native.compute_weight_gradients(X, Hs, dG, W_x, from_numpy(packed.before))
        dX = None if dX is None else unpack(dX, places, *dY.shape[:2])
        return dX, *dW, None if dH_0 is None else dH_0[first_rows], dC_0[first_rows], None


def unpack(rows: Tensor, places: Tensor, T: int, B: int) -> Tensor:
    """Packed rows (N, F) at their places in (T, B, F), zeros elsewhere."""
    return rows.new_zeros(T * B, rows.shape[1]).index_copy_(0, places, rows).view(T, B, -1)
