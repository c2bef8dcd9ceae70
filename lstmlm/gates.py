"""How far the gates stand open, from the weights and the hidden states: the same for every backend.

T = num_steps, B = batch_size, H = num_hiddens.
"""

import torch
from torch import Tensor

from lstmlm.backends import dense
from lstmlm.model import RNNModel


@torch.no_grad()
def gate_openings(model: RNNModel, ids: Tensor) -> list[dict[str, Tensor]]:
    """The gates of every layer, each (T, B, H), while the model reads ids (B, T) from the zero state.

    I, F, O for an LSTM, Z, R for a GRU, none for an RNN.
    """
    was_training = model.training
    model.eval()
    outputs, _ = model.hidden_states(ids)
    book = model.book_weights()
    X, gates = model.inputs(ids), []
    for k, Y in enumerate(outputs):
        X = dense(X, model.layers[k].num_inputs, Y.dtype)
        H = torch.cat([torch.zeros_like(Y[:1]), Y[:-1]])  # what each step saw: the step before
        W = {name.removeprefix(f"layers.{k}."): tensor for name, tensor in book.items()}
        there = [g for g in "ifozr" if "b_" + g in W]
        gates.append({g.upper(): torch.sigmoid(X @ W["W_x" + g] + H @ W["W_h" + g] + W["b_" + g]) for g in there})
        X = Y
    model.train(was_training)
    return gates
