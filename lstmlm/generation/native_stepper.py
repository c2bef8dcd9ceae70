"""The LSTM of stepper.py in float32, and the draws between its steps, in C: kernels/lstm_step.c.

N = samples drawn together, V = vocab_size, H = num_hiddens, L = num_layers, n = characters of one call of the kernel,
m = characters that were seen before them.
"""

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence
from ctypes import c_double, c_int, c_int64, c_void_p

import numpy as np

from lstmlm.kernels.build import NoCompiler
from lstmlm.kernels.library import Functions, load_kernel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.arrays import Floats, Ids, Integers

KERNEL = "lstm_step"
FUNCTIONS: Functions = {
    "width": (c_int, []),
    "stretch": (
        c_int,
        [
            *(c_int, c_int, c_int, c_void_p),
            *(c_int, c_int, c_void_p, c_void_p, c_int, c_void_p, c_void_p),
            *(c_double, c_int64, c_double, c_double),
            *(c_int64, c_double, c_int64),
        ],
    ),
}
GATES = "ifoc"  # in the order of the kernel
CACHE_LINE = 64  # bytes

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


def pad_columns(W: Floats, multiple: int) -> Floats:
    """W with columns of zeros appended to its last axis, up to a multiple of `multiple`."""
    return np.pad(W, [(0, 0)] * (W.ndim - 1) + [(0, -W.shape[-1] % multiple)])


def make_native_stepper(cell: str, weights: Mapping[str, Floats], num_layers: int) -> "NativeStepper | None":
    """The steps in C for weights under the book's names; None unless they are those of an LSTM in float32."""
    if cell != "lstm" or weights["W_hq"].dtype != np.float32 or (kernel := find_kernel()) is None:
        return None
    return NativeStepper(kernel, weights, num_layers)


class NativeStepper:
    """The weights of a model, packed as the kernel reads them, and the calls of the kernel.

    A text depends, to the last bit, neither on the samples drawn beside it nor on how it is cut into calls.
    """

    def __init__(self, kernel: ctypes.CDLL, weights: Mapping[str, Floats], num_layers: int) -> None:
        self.kernel, self.num_layers, width = kernel, num_layers, kernel.width()
        self.num_hiddens, self.vocab_size = weights["W_hq"].shape

        # In panels of four vectors, (K, panels, 4, width)

        def pack_gates(k: int, name: str) -> Floats:
            W = np.stack([np.atleast_2d(weights[f"layers.{k}.{name}{gate}"]) for gate in GATES], axis=1)  # (K, 4, H)
            return pad_columns(W, width).reshape(len(W), 4, -1, width).swapaxes(1, 2)

        def pack_head(W: Floats) -> Floats:
            return pad_columns(W, 4 * width).reshape(len(W), -1, 4, width)

        first = pack_gates(0, "W_x")
        if "W_e" in weights:
            first = np.tensordot(weights["W_e"], first, 1)
        parts = [first + pack_gates(0, "b_"), pack_gates(0, "W_h").swapaxes(0, 1)]
        for k in range(1, num_layers):
            parts += [pack_gates(k, "W_h").swapaxes(0, 1), pack_gates(k, "b_"), pack_gates(k, "W_x").swapaxes(0, 1)]
        parts += [pack_head(weights["b_q"][None]), pack_head(weights["W_hq"]).swapaxes(0, 1)]
        self.memory = np.empty(sum(part.nbytes for part in parts) // 4 + CACHE_LINE // 4, np.float32)
        self.weights = self.memory[-self.memory.ctypes.data % CACHE_LINE // 4 :]  # from the start of a cache line
        np.concatenate([part.ravel() for part in parts], out=self.weights[: sum(part.size for part in parts)])

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
            *(self.num_layers, self.num_hiddens, V, get_address(self.weights)),
            *(N, n, get_address(states), get_address(logits), len(ids) - n, get_address(ids), get_address(uniforms)),
            *(settings.temperature, min(settings.top_k or V, V), settings.top_p, settings.min_p),
            *(-1 if unk is None else unk, np.log(settings.repetition_penalty), settings.penalty_window),
        )
        if not has_memory:
            raise MemoryError("no memory for the sums of a step")


def get_address(array: Floats | Ids | None) -> int | None:
    """The address of the first number of a C-contiguous array."""
    return None if array is None else array.ctypes.data
