"""The LSTM of stepper.py in float32, and the draws between its steps, in C: kernels/lstm_step.c.

Its matrices may be small (WEIGHTS): half or a quarter of the bytes, and so of the time. The text is then another one.

N = samples drawn together, V = vocab_size, H = num_hiddens, L = num_layers, n = characters of one call of the kernel,
m = characters that were seen before them.
"""

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence
from ctypes import c_double, c_int, c_int64, c_void_p

import numpy as np

from lstmlm.generation.packing import MOST_INT8_ROWS, pack_model
from lstmlm.kernels.build import NoCompiler
from lstmlm.kernels.library import Functions, load_kernel
from lstmlm.settings.sampling import WEIGHTS, SamplingSettings
from lstmlm.system.arrays import Array, Floats, Ids, Integers
from lstmlm.system.errors import BadInput

KERNEL = "lstm_step"
FUNCTIONS: Functions = {
    "width": (c_int, []),
    "stretch": (
        c_int,
        [
            *(c_int, c_int, c_int, c_int, c_void_p),
            *(c_int, c_int, c_void_p, c_void_p, c_int, c_void_p, c_void_p),
            *(c_double, c_int64, c_double, c_double),
            *(c_int64, c_double, c_int64),
        ],
    ),
}

LayerState = tuple[Floats, ...]  # (H, C) of an LSTM, (H,) of other cells, each (N, H)
State = Sequence[LayerState] | Floats  # of L layers; an array is (L, parts, N, H)


@functools.cache
def find_kernel() -> ctypes.CDLL | None:
    """The kernel, compiled if it is not in the cache. None where it cannot be built: stepper.py then does the same."""
    if os.environ.get("LSTMLM_NATIVE") == "0":
        return None
    try:
        return load_kernel(KERNEL, FUNCTIONS)
    except NoCompiler:
        return None


def make_native_stepper(
    cell: str, weights: Mapping[str, Floats], num_layers: int, kind: str = "float32"
) -> "NativeStepper | None":
    """The steps in C for weights under the book's names; None unless they are those of an LSTM in float32.

    With small weights (`kind` is another of WEIGHTS) BadInput takes the place of None.
    """
    kernel = find_kernel() if cell == "lstm" and weights["W_hq"].dtype == np.float32 else None
    if kind != "float32":
        check_small_weights(cell, weights, kernel, kind)
    return None if kernel is None else NativeStepper(kernel, weights, num_layers, kind)


def check_small_weights(cell: str, weights: Mapping[str, Floats], kernel: ctypes.CDLL | None, kind: str) -> None:
    """BadInput, with the reason, if the steps in C cannot compute with weights of this kind."""
    dtype, rows = weights["W_hq"].dtype, len(weights["W_hq"])
    if cell != "lstm":
        why = f"is for an LSTM, and the model is of cell {cell}"
    elif dtype != np.float32:
        why = f"is made of float32 weights, and those of the model are {dtype}"
    elif kernel is None:
        why = "needs the steps in C, which could not be built here (a C compiler, and LSTMLM_NATIVE not 0)"
    elif kind == "int8" and rows > MOST_INT8_ROWS:
        why = f"is for at most {MOST_INT8_ROWS} hidden units, and the model has {rows}"
    else:
        return
    raise BadInput(f"--weights: {kind} {why}: leave --weights out")


class NativeStepper:
    """The weights of a model, packed as the kernel reads them, and the calls of the kernel.

    A text depends, to the last bit, neither on the samples drawn beside it nor on how it is cut into calls.
    """

    def __init__(
        self, kernel: ctypes.CDLL, weights: Mapping[str, Floats], num_layers: int, kind: str = "float32"
    ) -> None:
        self.kernel, self.num_layers, self.kind = kernel, num_layers, kind
        self.num_hiddens, self.vocab_size = weights["W_hq"].shape
        self.weights = pack_model(weights, num_layers, kernel.width(), kind)

    def read(self, state: State, ids: Integers) -> tuple[Floats, Floats]:
        """Read ids (n, N) -> after each of them the logits of the next, (n, N, V), and the state, (n, L, 2, N, H)."""
        logits, states = self._allocate(*ids.shape)
        states[0] = state
        self._call(states, logits, np.ascontiguousarray(ids, np.int64), None, None, SamplingSettings())
        return logits[1:], states[1:]

    def draw(
        self,
        state: State,
        logits: Floats,
        seen: Ids,
        uniforms: Floats,
        unk: int | None,
        settings: SamplingSettings,
    ) -> tuple[Ids, Floats, Floats]:
        """Draw characters, the first from logits (N, V), with uniform numbers (n, N) in [0, 1).

        The repetition penalty is on the last characters of seen, (m, N), and of those drawn here; `unk` is never drawn.
        Returns ids (n, N), and logits (n + 1, N, V) and states (n + 1, L, 2, N, H) before the first character and after
        each.
        """
        ids = np.concatenate([seen.reshape(-1, uniforms.shape[1]), np.zeros(uniforms.shape, np.int64)])
        every, states = self._allocate(*uniforms.shape)
        every[0], states[0] = logits, state
        self._call(states, every, ids, np.ascontiguousarray(uniforms), unk, settings)
        return ids[len(seen) :], every, states

    def _allocate(self, n: int, N: int) -> tuple[Floats, Floats]:
        """Logits (n + 1, N, V) and states (n + 1, L, 2, N, H), not yet filled."""
        logits = np.empty((n + 1, N, self.vocab_size), np.float32)
        return logits, np.empty((n + 1, self.num_layers, 2, N, self.num_hiddens), np.float32)

    def _call(
        self,
        states: Floats,
        logits: Floats,
        ids: Ids,
        uniforms: Floats | None,
        unk: int | None,
        settings: SamplingSettings,
    ) -> None:
        """Call the kernel, which writes states[1:], logits[1:] and, where there are uniforms, the last n of the ids."""
        (n, N), V = (len(logits) - 1, ids.shape[1]), self.vocab_size
        has_memory = self.kernel.stretch(
            *(WEIGHTS.index(self.kind), self.num_layers, self.num_hiddens, V, get_address(self.weights)),
            *(N, n, get_address(states), get_address(logits), len(ids) - n, get_address(ids), get_address(uniforms)),
            *(settings.temperature, min(settings.top_k or V, V), settings.top_p, settings.min_p),
            *(-1 if unk is None else unk, np.log(settings.repetition_penalty), settings.penalty_window),
        )
        if not has_memory:
            raise MemoryError("no memory for the sums of a step")


def get_address(array: Array | None) -> int | None:
    """The address of the first number of a C-contiguous array."""
    return None if array is None else array.ctypes.data
