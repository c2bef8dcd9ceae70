"""The openings of the gates, computed from the weights and the hidden states: the same for every backend.

T = num_steps, B = batch_size, D = width of a layer's input, H = num_hiddens.
"""

import torch
from torch import Tensor

from lstmlm.layers.contract import Tensors, to_dense
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.dotted import under

GATES = "ifozr"  # the letters of sigmoid gates: I, F, O of an LSTM, Z, R of a GRU; an RNN has none


def compute_gates(W: Tensors, X: Tensor, H: Tensor) -> Tensors:
    """The gates (..., H) of one layer with weights W under the book's names, for inputs (..., D) and states (..., H).

    The states are those before the step. The keys are upper-case: I, F, O of an LSTM, Z, R of a GRU.
    """
    letters = [g for g in GATES if "b_" + g in W]
    return {g.upper(): torch.sigmoid(X @ W["W_x" + g] + H @ W["W_h" + g] + W["b_" + g]) for g in letters}


@torch.no_grad()
def collect_gate_openings(model: RNNModel, ids: Tensor) -> list[Tensors]:
    """The gates of every layer, each (T, B, H), while the model reads ids (B, T) from the zero state."""
    with evaluation_mode(model):
        outputs, _ = model.hidden_states(ids)
        X = model.inputs(ids)
    book, gates = model.book_weights(), []
    for k, Y in enumerate(outputs):
        H = torch.cat([torch.zeros_like(Y[:1]), Y[:-1]])  # the state before each step
        gates.append(compute_gates(under(f"layers.{k}.", book), to_dense(X, model.config.vocab_size, Y.dtype), H))
        X = Y
    return gates
