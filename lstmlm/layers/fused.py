"""backend=fused: one LSTM layer over all time steps as one autograd function, with its gradient written by hand.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens. The gates are merged, in the order I, F, O, C~:
W_x (D, 4H), W_h (H, 4H), b (4H,).

    [I, F, O, C~]_t = sigmoid, sigmoid, sigmoid, tanh of (X_t W_x + b + H_{t-1} W_h)

Whatever does not depend on the previous step is computed for all steps at once: X W_x + b before the loop, and after
the backward loop the gradients of W_x, W_h and X from dG (T, B, 4H), the gradient of the sums in the brackets. One-hot
inputs stay ids: their product with W_x selects rows, and the gradient of W_x is added to these rows.

`Loops` has the three computations in PyTorch, for any device and dtype; fused_native.py has them in C, for float32 on a
CPU; fused_bf16.py has them in C with products in bfloat16, for torch.autocast (train.precision=bf16) on a CPU with
matrix tiles. Elsewhere all of this stays float32 under autocast, except X W_x of dense inputs where the loops run in
PyTorch: the sums of the gates, which are kept and added to in place, are float32.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lstmlm.layers import fused_bf16, fused_native
from lstmlm.layers.contract import LayerState, RecurrentLayer, Tensors, as_int64, check_range
from lstmlm.layers.fused_spans import FusedSpans
from lstmlm.layers.graph import graph_is_kept
from lstmlm.layers.weight_names import LSTM
from lstmlm.scratch.lstm import init_lstm_state
from lstmlm.text.spans import Spans


class FusedLayer(torch.autograd.Function):
    """(X, W_x, W_h, b, H, C) -> hidden states (T, B, H) and the last H and C; X is dense (T, B, D) or ids (T, B).

    RuntimeError if an id is out of range.
    """

    @staticmethod
    def forward(
        ctx: Any, X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, H: Tensor, C: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.loops = choose_loops(W_h)
        X = X.contiguous()
        gates, Hs, Cs = run_forward(ctx.loops, X, W_x, W_h, b, (H, C))
        ctx.save_for_backward(X, W_x, W_h, gates, Hs, Cs)
        return Hs[1:], Hs[-1].clone(), Cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dY: Tensor, dH: Tensor, dC: Tensor) -> tuple[Tensor | None, ...]:
        X, W_x, W_h, gates, Hs, Cs = ctx.saved_tensors
        if graph_is_kept():
            gates = gates.clone()  # dG takes their place
        wants_dX, _, _, _, wants_dH, _ = ctx.needs_input_grad
        dG, dH_0, dC_0, dX = ctx.loops.backward(W_x, W_h, gates, Cs, (dY, dH, dC), wants_dX, wants_dH)
        dW_x, dW_h, db = ctx.loops.compute_weight_gradients(X, Hs[:-1], dG, W_x)
        return dX, dW_x, dW_h, db, dH_0, dC_0


def choose_loops(W_h: Tensor) -> Any:
    """The loops that compute with tensors like this one: in C where a kernel can, or in PyTorch."""
    if fused_bf16.can_run(W_h):
        return fused_bf16
    return fused_native if fused_native.can_run(W_h) else Loops


def run_forward(
    loops: Any, X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, state: LayerState
) -> tuple[Tensor, Tensor, Tensor]:
    """The gates in the layout of the loops, and Hs and Cs (T+1, B, H), whose [0] is the state before the first step."""
    Hs, Cs = W_h.new_empty(2, len(X) + 1, X.shape[1], len(W_h))
    Hs[0], Cs[0] = state
    return loops.forward(X, W_x, W_h, b, Hs, Cs), Hs, Cs


class Loops:
    """The loops over the steps in PyTorch; `fused_native` has functions of the same names in C."""

    @staticmethod
    def forward(X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor) -> Tensor:
        """Fill Hs and Cs (T+1, B, H) from index 1 on; return the gates (T, B, 4H)."""
        if X.is_floating_point():
            gates = X @ W_x + b
        else:
            check_range(X, len(W_x))
            gates = (W_x + b)[X]
        for t, G in enumerate(gates):
            G.addmm_(Hs[t], W_h)
            IFO, C_tilda = G.split((3 * len(W_h), len(W_h)), 1)
            I, F, O = IFO.sigmoid_().chunk(3, 1)
            torch.addcmul(F * Cs[t], I, C_tilda.tanh_(), out=Cs[t + 1])
            torch.mul(O, Cs[t + 1].tanh(), out=Hs[t + 1])
        return gates

    @staticmethod
    def backward(
        W_x: Tensor,
        W_h: Tensor,
        gates: Tensor,
        Cs: Tensor,
        grads: tuple[Tensor, Tensor, Tensor],
        wants_dX: bool,
        wants_dH: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        """From dY (T, B, H) and the last state's dH and dC (B, H): dG (T, B, 4H), written over the gates; dH and dC of
        the state before the first step; dX (T, B, D). dH and dX are None where they are not wanted.
        """
        dY, dH, dC = grads
        for t in reversed(range(len(gates))):
            I, F, O, C_tilda = gates[t].chunk(4, 1)
            tanh_C = Cs[t + 1].tanh()
            dH = dH + dY[t]
            dC = dC + dH * O * (1 - tanh_C**2)
            parts = (dC * C_tilda * I * (1 - I), dC * Cs[t] * F * (1 - F), dH * tanh_C * O * (1 - O))
            dC, dG = dC * F, torch.cat((*parts, dC * I * (1 - C_tilda**2)), 1)
            gates[t] = dG
            dH = dG @ W_h.T
        return gates, dH if wants_dH else None, dC, gates @ W_x.T if wants_dX else None

    @staticmethod
    def compute_weight_gradients(X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """dW_x, dW_h and db: products over all steps and rows at once. Hs (T, B, H) are the states before each step."""
        X, Hs, rows = X.flatten(0, 1), Hs.flatten(0, 1), dG.flatten(0, 1)  # (T*B, ...)
        if X.is_floating_point():
            dW_x, db = X.T @ rows, rows.sum(0)
        else:
            dW_x = torch.zeros_like(W_x).index_add_(0, X, rows)
            db = dW_x.sum(0)  # every one-hot row of X has one 1
        return dW_x, Hs.T @ rows, db


class FusedLSTM(RecurrentLayer):
    """The layer of backend=fused: one tensor for all gates of W_x, of W_h and of b, in d2l's order of the gates."""

    names, init_state = LSTM, staticmethod(init_lstm_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        self.W_x = nn.Parameter(torch.randn(num_inputs, 4 * num_hiddens) * 0.01)
        self.W_h = nn.Parameter(torch.randn(num_hiddens, 4 * num_hiddens) * 0.01)
        self.b = nn.Parameter(torch.zeros(4 * num_hiddens))

    def compute(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        if len(X) == 0:
            raise RuntimeError("X has no steps: num_steps must be 1 or more")
        X = X if X.is_floating_point() else as_int64(X)
        Y, H, C = FusedLayer.apply(X, self.W_x, self.W_h, self.b, *state)  # type: ignore[no-untyped-call]
        return Y, (H, C)

    def compute_spans(self, X: Tensor, state: LayerState, spans: Spans) -> tuple[Tensor, LayerState]:
        if choose_loops(self.W_h) is not fused_native:
            return super().compute_spans(X, state, spans)
        X = X if X.is_floating_point() else as_int64(X)
        Y, H, C = FusedSpans.apply(X, self.W_x, self.W_h, self.b, *state, spans)  # type: ignore[no-untyped-call]
        return Y, (H, C)

    @torch.no_grad()
    def follow(self, X: Tensor, state: LayerState) -> tuple[Tensor, Tensor]:
        """As `forward`, but H and C after every step, each (T, B, H); without a gradient."""
        X = X.contiguous() if X.is_floating_point() else as_int64(X).contiguous()
        _, Hs, Cs = run_forward(choose_loops(self.W_h), X, self.W_x, self.W_h, self.b, state)
        return Hs[1:], Cs[1:]

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        return {own: torch.cat([book[name] for name in LSTM if name.startswith(kind)], -1) for own, kind in MERGED}

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        parts = {merged: own[merged].chunk(4, -1) for merged, _ in MERGED}
        return {
            name: parts[merged][k]
            for k in range(4)
            for (merged, _), name in zip(MERGED, LSTM[3 * k : 3 * k + 3], strict=True)
        }


# A tensor of FusedLSTM, and how d2l's names of its four parts begin
MERGED = (("W_x", "W_x"), ("W_h", "W_h"), ("b", "b_"))
