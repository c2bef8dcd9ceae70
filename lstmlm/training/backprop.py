"""The gradient of a batch, in parts where the whole would need too much memory.

B = batch_size, T = num_steps, V = vocab_size, L = num_layers, H = num_hiddens.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.layers import fused_bf16
from lstmlm.model.rnn_model import RNNModel, State
from lstmlm.text.spans import Spans
from lstmlm.training.loss_scale import LossScale


def back_propagate(
    model: RNNModel,
    X: Tensor,
    Y: Tensor,
    state: State,
    micro_batches: int,
    precision: str,
    loss_scale: LossScale | None = None,
    spans: Spans | None = None,
) -> tuple[Tensor, State]:
    """Add the gradient of the mean loss of X, Y (B, T), from the state, to the parameters' `grad`, times `loss_scale`.

    Returns the loss, in nats per character, and the next state, neither with a graph. The B lanes are taken in
    `micro_batches` equal parts, one after the other: the mean of the parts' means is the mean of all, so the gradient
    is that of the whole batch, with the memory of one part. (Dropout is drawn for each part, so it drops other units.)
    `spans` are the documents in X, which is then one part.
    """
    if micro_batches == 1:
        return back_propagate_whole(model, X, Y, state, precision, loss_scale, spans=spans)
    assert spans is None, "documents are not taken in parts: check_config refuses it"
    lanes = zip(X.chunk(micro_batches), Y.chunk(micro_batches), split_state(state, micro_batches), strict=True)
    done = [back_propagate_whole(model, *part, precision, loss_scale, 1 / micro_batches) for part in lanes]
    losses, states = zip(*done, strict=True)
    return torch.stack(losses).sum(), tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))


def split_state(state: State, parts: int) -> list[State]:
    """A state, each (L, B, H), as the states of equal parts of its lanes, each (L, B / parts, H)."""
    return list(zip(*(part.chunk(parts, 1) for part in state), strict=True))


def back_propagate_whole(
    model: RNNModel,
    X: Tensor,
    Y: Tensor,
    state: State,
    precision: str,
    loss_scale: LossScale | None,
    share: float | None = None,
    spans: Spans | None = None,
) -> tuple[Tensor, State]:
    """`back_propagate` in one part, whose loss counts by its share of the whole."""
    logits, state = forward(model, X, state, precision, spans)
    loss = functional.cross_entropy(logits, Y.T.flatten())  # logits (T*B, V) are time-major
    if share is not None:
        loss = loss * share
    (loss if loss_scale is None else loss_scale.scale(loss)).backward()
    return loss.detach(), tuple(part.detach() for part in state)


AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("float32", *AUTOCAST)


def forward(
    model: RNNModel, X: Tensor, state: State, precision: str, spans: Spans | None = None
) -> tuple[Tensor, State]:
    """`model(X, state, spans)`, X (B, T) -> logits (T*B, V) and the next state, both in float32 whatever the precision.

    bf16 is mixed precision (Micikevicius et al. 2018) with bfloat16 (Kalamkar et al. 2019), which has the exponents of
    float32, so gradients need no scaling; fp16 is float16, which needs it (loss_scale.py). torch.autocast computes
    matrix products in that type; weights, carried state, loss and optimizer stay in float32. Back-propagation runs
    outside of autocast and gives each operation's gradient in the type of that operation. Where bfloat16 is no gain,
    the computation is that of float32, and the log says so.
    """
    logits: Tensor
    if precision == "float32" or is_faster_in_float32(model, X.device):
        logits, state = model(X, state, spans)
        return logits, state
    with torch.autocast(X.device.type, AUTOCAST[precision]):
        logits, state = model(X, state, spans)
    return logits.float(), tuple(part.float() for part in state)


def is_faster_in_float32(model: RNNModel, device: torch.device) -> bool:
    """Whether bfloat16 makes a model slower: backend=fused on a CPU without matrix tiles (layers/fused_bf16.py)."""
    return model.backend == "fused" and device.type == "cpu" and fused_bf16.find_way() is None
