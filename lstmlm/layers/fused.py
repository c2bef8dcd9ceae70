"""One LSTM layer over all time steps as one function with its gradient written out, for `backend=fused`.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens. The gates are merged, in the order I, F, O, C~:
W_x (D, 4H), W_h (H, 4H), b (4H,).

    [I, F, O, C~]_t = sigmoid, sigmoid, sigmoid, tanh of (X_t W_x + b + H_{t-1} W_h)

What does not wait for the step before is done for all steps at once: X W_x + b before the loop, and after the loop back
the gradients of W_x, W_h and X, from dG (T, B, 4H), the gradient of the sums in the brackets. One-hot inputs stay ids:
times W_x they pick a row, and the gradient of W_x adds into that row.

Under torch.autocast (train.precision=bf16) all this stays float32, but for X W_x of dense inputs where the loops are
PyTorch's: the sums of the gates, which are kept and added to in place, come out in float32.

This page is the loops in PyTorch, for any device and dtype; `native.py` has the same three in C for float32 on a CPU.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lstmlm.layers import fused_native
from lstmlm.layers.contract import LayerState, Tensors
from lstmlm.layers.weight_names import LSTM
from lstmlm.scratch.lstm import init_lstm_state


class FusedLayer(torch.autograd.Function):
    """(X, W_x, W_h, b, H, C) -> hidden states (T, B, H) and the last H and C; X is dense (T, B, D) or ids (T, B)."""

    @staticmethod
    def forward(ctx, X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, H: Tensor, C: Tensor):
        T, B, num_hiddens = *X.shape[:2], len(W_h)
        Hs, Cs = W_h.new_empty(2, T + 1, B, num_hiddens)  # from the state before the first step on
        Hs[0], Cs[0] = H, C
        ctx.steps = fused_native if fused_native.can_run(W_h) else Loops
        X = X.contiguous()
        gates = ctx.steps.forward(X, W_x, W_h, b, Hs, Cs)
        ctx.save_for_backward(X, W_x, W_h, gates, Hs, Cs)
        return Hs[1:], Hs[-1].clone(), Cs[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dY: Tensor, dH: Tensor, dC: Tensor):
        X, W_x, W_h, gates, Hs, Cs = ctx.saved_tensors
        if graph_is_kept():
            gates = gates.clone()  # dG will take their place
        wants_dX, _, _, _, wants_dH, _ = ctx.needs_input_grad
        dG, dH, dC, dX = ctx.steps.backward(W_x, W_h, gates, Cs, (dY, dH, dC), wants_dX, wants_dH)
        dW_x, dW_h, db = ctx.steps.gradients(X, Hs[:-1], dG, W_x)
        return dX, dW_x, dW_h, db, dH, dC


# retain_graph of this backward(); where PyTorch does not tell, it may be
graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


class Loops:
    """The steps in PyTorch: what `native` does too."""

    @staticmethod
    def forward(X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor) -> Tensor:
        """Fill Hs and Cs (T+1, B, H) from their first on; the gates (T, B, 4H)."""
        gates = X @ W_x + b if X.is_floating_point() else (W_x + b)[X]
        for t, G in enumerate(gates):
            G.addmm_(Hs[t], W_h)
            IFO, C_tilda = G.split((3 * len(W_h), len(W_h)), 1)
            I, F, O = IFO.sigmoid_().chunk(3, 1)
            torch.addcmul(F * Cs[t], I, C_tilda.tanh_(), out=Cs[t + 1])
            torch.mul(O, Cs[t + 1].tanh(), out=Hs[t + 1])
        return gates

    @staticmethod
    def backward(W_x: Tensor, W_h: Tensor, gates: Tensor, Cs: Tensor, grads: tuple, wants_dX: bool, wants_dH: bool):
        """From dY (T, B, H) and dH, dC (B, H) of the last state: dG (T, B, 4H), in the place of the gates; dH and dC of
        the state before the first step; dX (T, B, D). Where dX or dH is not wanted: None.
        """
        dY, dH, dC = grads
        for t in reversed(range(len(gates))):
            I, F, O, C_tilda = gates[t].chunk(4, 1)
            shown = Cs[t + 1].tanh()
            dH = dH + dY[t]
            dC = dC + dH * O * (1 - shown**2)
            parts = (dC * C_tilda * I * (1 - I), dC * Cs[t] * F * (1 - F), dH * shown * O * (1 - O))
            dC, dG = dC * F, torch.cat((*parts, dC * I * (1 - C_tilda**2)), 1)
            gates[t] = dG
            dH = dG @ W_h.T
        return gates, dH if wants_dH else None, dC, gates @ W_x.T if wants_dX else None

    @staticmethod
    def gradients(X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor):
        """dW_x, dW_h, db: products over all steps and rows at once."""
        X, Hs, rows = X.flatten(0, 1), Hs.flatten(0, 1), dG.flatten(0, 1)  # (T*B, ...)
        if X.is_floating_point():
            dW_x, db = X.T @ rows, rows.sum(0)
        else:
            dW_x = torch.zeros_like(W_x).index_add_(0, X, rows)
            db = dW_x.sum(0)  # every row of X has one 1
        return dW_x, Hs.T @ rows, db


class FusedLSTM(nn.Module):
    """`FusedLayer`'s function: for each input, state and bias one matrix for all gates, in the book's order."""

    names, init_state = LSTM, staticmethod(init_lstm_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        self.W_x = nn.Parameter(torch.randn(num_inputs, 4 * num_hiddens) * 0.01)
        self.W_h = nn.Parameter(torch.randn(num_hiddens, 4 * num_hiddens) * 0.01)
        self.b = nn.Parameter(torch.zeros(4 * num_hiddens))

    def forward(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        Y, *state = FusedLayer.apply(X, self.W_x, self.W_h, self.b, *state)
        return Y, tuple(state)

    @staticmethod
    def from_book(book: Tensors) -> Tensors:
        return {own: torch.cat([book[name] for name in LSTM if name.startswith(kind)], -1) for own, kind in MERGED}

    @staticmethod
    def to_book(own: Tensors) -> Tensors:
        parts = {merged: own[merged].chunk(4, -1) for merged, _ in MERGED}
        return {
            name: parts[merged][k]
            for k in range(4)
            for (merged, _), name in zip(MERGED, LSTM[3 * k : 3 * k + 3], strict=True)
        }


MERGED = (("W_x", "W_x"), ("W_h", "W_h"), ("b", "b_"))  # a tensor of FusedLSTM, and how its four in the book begin
