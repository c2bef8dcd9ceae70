"""The model's function, one character at a time, on the weights alone: in numpy, without autograd and without torch.

N = samples drawn together, V = vocab_size, H = num_hiddens, L = num_layers, D = width of a layer's input,
G = number of gates, which have an axis of their own: one product for all of them.

A step of one character is a matrix-vector product for each layer, and most of the time that torch spends on it is not
arithmetic (benchmarks/sampling.py). So the cells are written here once more, for all backends the same, one equation of
the from-scratch pages a line. sigmoid(x) = (1 + tanh(x / 2)) / 2: with the weights of the sigmoid gates halved, one
tanh serves all gates. For an LSTM in float32 `native_stepper.py` has the same in C.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from lstmlm.generation.native_stepper import LayerState, State, make_native_stepper
from lstmlm.system.arrays import Floats, Ids, Integers
from lstmlm.system.dotted import under

CHUNK = 1000  # characters of a prompt read in one call: bounds the memory


def activate_gates(S: Floats, sigmoids: int) -> Floats:
    """The gates of their sums S, (G, N, H): the first `sigmoids` are sigmoids, the others tanh.

    In place: with arrays so small, allocating them takes much of the time.
    """
    np.tanh(S, out=S)
    first = S[:sigmoids]
    first *= 0.5
    first += 0.5
    return S


# The cells: A (G, N, H), the input's share of the gates' sums, and the state -> the next state


def step_lstm(A: Floats, state: LayerState, W_h: Floats) -> LayerState:
    H, C = state
    S = H @ W_h
    S += A
    I, F, O, C_tilda = activate_gates(S, sigmoids=3)
    C = F * C + I * C_tilda
    return O * np.tanh(C), C


def step_gru(A: Floats, state: LayerState, W_h: Floats, b_hn: Floats) -> LayerState:
    (H,) = state
    B = H @ W_h
    Z, R = activate_gates(A[:2] + B[:2], sigmoids=2)
    H_tilda = np.tanh(A[2] + R * (B[2] + b_hn))
    return (Z * H + (1 - Z) * H_tilda,)


def step_gru_before(A: Floats, state: LayerState, W_h: Floats) -> LayerState:
    (H,) = state
    Z, R = activate_gates(A[:2] + H @ W_h[:2], sigmoids=2)
    H_tilda = np.tanh(A[2] + (R * H) @ W_h[2])
    return (Z * H + (1 - Z) * H_tilda,)


def step_rnn(A: Floats, state: LayerState, W_h: Floats) -> LayerState:
    (H,) = state
    return (np.tanh(A[0] + H @ W_h[0]),)


class Cell(NamedTuple):
    """A cell: its step, the letters of its gates, and the weights that its step takes besides W_h."""

    step: Callable[..., LayerState]
    sigmoids: str
    other: str  # the gate that is a tanh
    more: tuple[str, ...] = ()


CELLS = {
    "lstm": Cell(step_lstm, "ifo", "c"),
    "gru": Cell(step_gru, "zr", "h", ("b_hn",)),
    "gru_before": Cell(step_gru_before, "zr", "h"),
    "rnn": Cell(step_rnn, "", "h"),
}


class Layer:
    """The weights of one layer, stacked: W_x (G, D, H), W_h (G, H, H), b (G, 1, H)."""

    def __init__(self, cell: Cell, W: Mapping[str, Floats]) -> None:
        def stack_gates(name: str) -> Floats:
            return np.stack([0.5 * W[name + gate] for gate in cell.sigmoids] + [W[name + cell.other]])

        self.W_x, self.W_h, self.b = stack_gates("W_x"), stack_gates("W_h"), stack_gates("b_")[:, None]
        self.cell, self.more = cell, [W[name] for name in cell.more]

    def step(self, A: Floats, state: LayerState) -> LayerState:
        """The next state, given the input's share A (G, N, H) of the gates' sums."""
        return self.cell.step(A, state, self.W_h, *self.more)


class Stepper:
    """One step of a model for one character of each sample: `step(ids, state) -> (logits, state)`.

    `weights` are under the book's names (`layers.0.W_xi`, ..., `W_hq`, `b_q`, and `W_e` where there is an embedding).
    `kind` is one of WEIGHTS: BadInput for small weights that the steps in C cannot compute with. A state is never
    changed in place, so a caller may keep one and return to it.
    """

    def __init__(self, cell: str, weights: Mapping[str, Floats], num_layers: int, kind: str = "float32") -> None:
        self.cell = cell
        # None: the steps are those of this page
        self.native = make_native_stepper(cell, weights, num_layers, kind)
        self.layers = [Layer(CELLS[cell], under(f"layers.{k}.", weights)) for k in range(num_layers)]
        first = self.layers[0]
        # Each character's share of the gates' sums of the first layer, (G, V, H): a one-hot row picks a row of W_x
        self.table = (weights["W_e"] @ first.W_x if "W_e" in weights else first.W_x) + first.b
        self.W_hq, self.b_q = weights["W_hq"], weights["b_q"]

    def step(self, ids: Integers, state: State) -> tuple[Floats, State]:
        """Read ids (N,) -> the logits of the next character, (N, V), and the next state."""
        if self.native:
            logits, states = self.native.read(state, ids[None])
            return logits[0], states[0]
        after: list[LayerState] = []
        A = self.table.take(ids, axis=1)
        for layer, layer_state in zip(self.layers, state, strict=True):
            if after:
                A = after[-1][0] @ layer.W_x + layer.b
            after.append(layer.step(A, layer_state))
        return after[-1][0] @ self.W_hq + self.b_q, after

    def read(self, ids: Ids, state: State | None) -> tuple[Floats, State]:
        """Read ids (n,), n >= 1, into every sample -> the logits of the next character, (N, V), and the state after it.

        A state of None is the zero state of one sample.
        """
        assert len(ids), "the prompt is empty"
        state = self.begin_state() if state is None else state
        N = len(state[0][0])
        if self.native:
            for start in range(0, len(ids), CHUNK):
                columns = np.repeat(ids[start : start + CHUNK, None], N, axis=1)
                every, states = self.native.read(state, columns)
                logits, state = every[-1], states[-1]
            return logits, state
        for id in ids:
            logits, state = self.step(np.full(N, id), state)
        return logits, state

    def begin_state(self) -> State:
        """The zero state of one sample."""
        parts, H = 2 if self.cell == "lstm" else 1, len(self.W_hq)
        return [(np.zeros((1, H), self.W_hq.dtype),) * parts for _ in self.layers]
