"""One character at a time: the model's function on its weights alone, in numpy, without autograd.

N = samples that go on together, V = vocab_size, H = num_hiddens, L = num_layers, D = width of a layer's input,
G = number of gates, which have an axis of their own: one product for all of them.

A step of one character is a matrix-vector product for each layer, and what torch spends on it is mostly not arithmetic
(benchmarks/sampling.py). So here are the cells once more, for all backends the same, an equation of the from-scratch
pages a line. sigmoid(x) = (1 + tanh(x / 2)) / 2: with the weights of the sigmoid gates halved, one tanh does for all
gates. Weights on another device are copied to the CPU, which is quicker for a few samples. For an LSTM in float32
`native_step.py` has the same in C.
"""

import numpy as np
import torch
from numpy import ndarray as Array

from lstmlm.generation.native_stepper import make_native_stepper
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.dotted import under

Weights = dict[str, Array]
LayerState = tuple[Array, ...]  # (H, C) or (H,), each (N, H)
State = list[LayerState] | Array  # of L layers; an array is (L, parts, N, H)
CHUNK = 1000  # characters of a prompt at once: bounds the memory


def activate_gates(S: Array, sigmoids: int) -> Array:
    """The gates of their sums S, (G, N, H): the first few are sigmoids, the others tanh.

    In place: with arrays so small, making them is much of the time.
    """
    np.tanh(S, out=S)
    first = S[:sigmoids]
    first *= 0.5
    first += 0.5
    return S


# A cell: what the input brings to the gates, A (G, N, H), and the state -> the next state


def lstm(A: Array, state: LayerState, W_h: Array) -> LayerState:
    H, C = state
    S = H @ W_h
    S += A
    I, F, O, C_tilda = activate_gates(S, sigmoids=3)
    C = F * C + I * C_tilda
    return O * np.tanh(C), C


def gru(A: Array, state: LayerState, W_h: Array, b_hn: Array) -> LayerState:
    (H,) = state
    B = H @ W_h
    Z, R = activate_gates(A[:2] + B[:2], sigmoids=2)
    H_tilda = np.tanh(A[2] + R * (B[2] + b_hn))
    return (Z * H + (1 - Z) * H_tilda,)


def gru_before(A: Array, state: LayerState, W_h: Array) -> LayerState:
    (H,) = state
    Z, R = activate_gates(A[:2] + H @ W_h[:2], sigmoids=2)
    H_tilda = np.tanh(A[2] + (R * H) @ W_h[2])
    return (Z * H + (1 - Z) * H_tilda,)


def rnn(A: Array, state: LayerState, W_h: Array) -> LayerState:
    (H,) = state
    return (np.tanh(A[0] + H @ W_h[0]),)


# cell: (its step, its sigmoid gates, its other gate, what else its step takes)
CELLS = {
    "lstm": (lstm, "ifo", "c", ()),
    "gru": (gru, "zr", "h", ("b_hn",)),
    "gru_before": (gru_before, "zr", "h", ()),
    "rnn": (rnn, "", "h", ()),
}


class Layer:
    """The weights of one layer, stacked: W_x (G, D, H), W_h (G, H, H), b (G, 1, H)."""

    def __init__(self, cell: str, W: Weights) -> None:
        self.cell, sigmoids, other, more = CELLS[cell]

        def stacked(name: str) -> Array:
            return np.stack([0.5 * W[name + gate] for gate in sigmoids] + [W[name + other]])

        self.W_x, self.W_h, self.b = stacked("W_x"), stacked("W_h"), stacked("b_")[:, None]
        self.more = [W[name] for name in more]


class Stepper:
    """`step(ids, state) -> (logits, state)` for one character of each sample, equal to `model(ids, state)`.

    The weights are copied: what trains on is not seen. A state is never changed, so one that was kept is a place to go
    back to.
    """

    def __init__(self, model: RNNModel) -> None:
        self.model = model
        book = {name: tensor.cpu().numpy() for name, tensor in model.book_weights().items()}
        self.native = make_native_stepper(
            model.config.cell, book, model.config.num_layers
        )  # None: the steps are those of this page
        self.layers = [Layer(model.config.cell, under(f"layers.{k}.", book)) for k in range(model.config.num_layers)]
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
        N, carried = 1, None
        if state is not None:
            N = len(state[0][0])
            carried = tuple(torch.from_numpy(np.stack(part)).to(device) for part in zip(*state, strict=True))
        for start in range(0, len(ids), CHUNK):
            X = torch.from_numpy(ids[start : start + CHUNK]).to(device)
            logits, carried = self.model(X.expand(N, -1), carried)
        self.model.train(was_training)
        return logits[-N:].cpu().numpy(), list(zip(*(part.cpu().numpy() for part in carried), strict=True))

    def step(self, ids: Array, state: State) -> tuple[Array, State]:
        """Ids (N,) -> logits (N, V), and the next state."""
        if self.native:
            logits, states = self.native.steps(state, ids[None])
            return logits[0], states[0]
        after, A = [], self.table.take(ids, axis=1)
        for layer, layer_state in zip(self.layers, state, strict=True):
            if after:
                A = after[-1][0] @ layer.W_x + layer.b
            after.append(layer.cell(A, layer_state, layer.W_h, *layer.more))
        return after[-1][0] @ self.W_hq + self.b_q, after
