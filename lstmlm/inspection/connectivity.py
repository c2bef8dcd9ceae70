"""On which characters the prediction of the next one rests: its gradient, as in Distill's "Visualizing memorization".

n = characters of the text, W = window, B = predictions at a time, V = vocab_size.

    share(t, d) = |d L_t / d X_{t-d}| / sum over d of the same

L_t is the cost of character t + 1, X the one-hot or embedded input, and |.| the Euclidean norm. The state before the
window is that of the text, so only gradients are cut off after W characters.
"""

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.layers.contract import to_dense
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel, State

WINDOW = 48
AT_ONCE = 128
CONTEXT = 200  # characters

Shares = NDArray[np.float32]


def find_connectivity(model: RNNModel, ids: Tensor, start: int, count: int, window: int = WINDOW) -> Shares:
    """(count, W) the share of the gradient that rests d characters back, of the predictions from `start` on.

    Prediction t is made after character t of ids (n,). The model reads CONTEXT characters before the first. Shares
    before the text are 0.
    """
    begin = max(0, start - CONTEXT)
    ids, start = ids[begin:], start - begin
    count = min(count, len(ids) - 1 - start)
    scratch = RNNModel(model.config, "scratch").to(model.W_hq.device, model.W_hq.dtype)
    scratch.load_book_weights(model.book_weights())
    scratch.requires_grad_(False)
    ids = ids.to(model.W_hq.device, torch.int64)
    norms = []
    with evaluation_mode(scratch):
        states = read_all_states(scratch, ids[: start + count])
        for first in range(start, start + count, AT_ONCE):
            places = torch.arange(first, min(first + AT_ONCE, start + count), device=ids.device)
            norms.append(find_norms(scratch, ids, places, states, window))
    found = torch.cat(norms)
    shares: Shares = (found / found.sum(1, keepdim=True).clamp_min(1e-30)).cpu().float().numpy()
    return shares


@torch.no_grad()
def read_all_states(model: RNNModel, ids: Tensor) -> list[Tensor]:
    """The parts of the state (n + 1, L, H) before each character of ids (n,), and after the last."""
    state = model.begin_state(1, ids.device)
    found = [state]
    for idx in ids:
        _, state = model.hidden_states(idx.view(1, 1), state)
        found.append(state)
    return [torch.cat([one[part] for one in found], 1).transpose(0, 1) for part in range(len(state))]


def find_norms(model: RNNModel, ids: Tensor, places: Tensor, states: list[Tensor], window: int) -> Tensor:
    """(B, W) the norms of the gradients of the predictions after `places` (B,) by the input d characters back."""
    first = (places - window + 1).clamp_min(0)  # where each window begins: all have one length, and the early ones
    inside = first[:, None] + torch.arange(window, device=ids.device)  # read on after their place
    X = model.inputs(ids[inside.clamp_max(len(ids) - 1)])
    X = to_dense(X, model.config.vocab_size, model.W_hq.dtype).detach().requires_grad_()  # (W, B, D)
    state: State = tuple(part[first].transpose(0, 1).contiguous() for part in states)
    Y: Tensor = X
    for layer, *layer_state in zip(model.recurrent_layers, *state, strict=True):
        Y, _ = layer(Y, tuple(layer_state))
    lanes = torch.arange(len(places), device=ids.device)
    logits = Y[places - first, lanes] @ model.W_hq + model.b_q
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, ids[places + 1], reduction="sum"), X)
    norms = gradient.norm(dim=2).T  # (B, W), by place in the window
    back = (places - first)[:, None] - torch.arange(window, device=ids.device)
    return torch.where(back >= 0, norms.gather(1, back.clamp_min(0)), 0)
