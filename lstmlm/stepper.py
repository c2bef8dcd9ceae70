"""One character at a time: the model's function on its weights alone, in numpy, without autograd.

N = samples that go on together, V = vocab_size, H = num_hiddens, L = num_layers, D = width of a layer's input,
G = number of gates, which have an axis of their own: one product for all of them.

A step of one character is a matrix-vector product for each layer. What torch spends on it is mostly not arithmetic
(benchmarks/sampling.py), so here are the cells once more, a line for each equation of the from-scratch pages, for every
backend the same. Weights on another device are copied to the CPU, which is quicker for a few samples.
"""

import numpy as np
import torch
from numpy import ndarray as Array

from lstmlm.backends import under
from lstmlm.model import RNNModel

Weights = dict[str, Array]
State = tuple[Array, ...]  # as RNNModel has it: (H, C) or (H,), each (L, N, H)
CHUNK = 1000  # characters of a prompt at once: bounds the memory


def sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # does not overflow


# A cell: what the input brings to the gates, A (G, N, H), and the state, each (N, H) -> the next state


def lstm(A: Array, state: State, W_h: Array) -> State:
    H, C = state
    A = A + H @ W_h
    I, F, O = sigmoid(A[:3])
    C_tilda = np.tanh(A[3])
    C = F * C + I * C_tilda
    return O * np.tanh(C), C


def gru(A: Array, state: State, W_h: Array, b_hn: Array) -> State:
    (H,) = state
    B = H @ W_h
    Z, R = sigmoid(A[:2] + B[:2])
    H_tilda = np.tanh(A[2] + R * (B[2] + b_hn))
    return (Z * H + (1 - Z) * H_tilda,)


def gru_before(A: Array, state: State, W_h: Array) -> State:
    (H,) = state
    Z, R = sigmoid(A[:2] + H @ W_h[:2])
    H_tilda = np.tanh(A[2] + (R * H) @ W_h[2])
    return (Z * H + (1 - Z) * H_tilda,)


def rnn(A: Array, state: State, W_h: Array) -> State:
    (H,) = state
    return (np.tanh(A[0] + H @ W_h[0]),)


# cell: (its step, its gates in the order of A, what else its step takes)
CELLS = {
    "lstm": (lstm, "ifoc", ()),
    "gru": (gru, "zrh", ("b_hn",)),
    "gru_before": (gru_before, "zrh", ()),
    "rnn": (rnn, "h", ()),
}


class Layer:
    """The weights of one layer, stacked: W_x (G, D, H), W_h (G, H, H), b (G, 1, H)."""

    def __init__(self, cell: str, W: Weights) -> None:
        self.cell, gates, more = CELLS[cell]
        self.W_x, self.W_h = (np.stack([W[name + gate] for gate in gates]) for name in ("W_x", "W_h"))
        self.b = np.stack([W["b_" + gate] for gate in gates])[:, None]
        self.more = [W[name] for name in more]

    def step(self, A: Array, state: State) -> State:
        return self.cell(A, state, self.W_h, *self.more)


class Stepper:
    """`step(ids, state) -> (logits, state)` for one character of each sample, equal to `model(ids, state)`.

    The weights are copied: what trains on is not seen. Nothing is changed in place, so a state that was kept is a place
    to go back to.
    """

    def __init__(self, model: RNNModel) -> None:
        self.model = model
        book = {name: tensor.cpu().numpy() for name, tensor in model.book_weights().items()}
        self.layers = [Layer(model.cell, under(f"layers.{k}.", book)) for k in range(model.num_layers)]
        first = self.layers[0]
        # What each character brings to the gates of the first layer, (G, V, H): a one-hot row picks a row of W_x
        self.table = (first.W_x if model.W_e is None else book["W_e"] @ first.W_x) + first.b
        self.W_hq, self.b_q = book["W_hq"], book["b_q"]

    @torch.inference_mode()
    def read(self, ids: Array, state: State | None) -> tuple[Array, State]:
        """Ids (n,), n >= 1, into every sample -> logits (N, V) of what comes next, and the state (None: zero, N = 1).

        They go through the model's own forward, on its backend and device: quick for long prompts.
        """
        device, was_training = self.model.W_hq.device, self.model.training
        self.model.eval()
        N = 1 if state is None else state[0].shape[1]
        carried = None if state is None else tuple(torch.from_numpy(part).to(device) for part in state)
        for start in range(0, len(ids), CHUNK):
            X = torch.from_numpy(ids[start : start + CHUNK]).to(device)
            logits, carried = self.model(X.expand(N, -1), carried)
        self.model.train(was_training)
        return logits[-N:].cpu().numpy(), tuple(part.cpu().numpy() for part in carried)

    def step(self, ids: Array, state: State) -> tuple[Array, State]:
        """Ids (N,) -> logits (N, V), and the next state."""
        after = tuple(np.empty_like(part) for part in state)
        for k, layer in enumerate(self.layers):
            A = self.table[:, ids] if k == 0 else after[0][k - 1] @ layer.W_x + layer.b
            for part, value in zip(after, layer.step(A, tuple(part[k] for part in state)), strict=True):
                part[k] = value
        return after[0][-1] @ self.W_hq + self.b_q, after
