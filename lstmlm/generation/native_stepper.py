"""The steps of stepper.py for an LSTM in float32, and the draws between them, in C: kernels/lstm_step.c.

N = samples that go on together, V = vocab_size, H = num_hiddens, L = num_layers, n = characters of a stretch.
"""

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence
from ctypes import c_double, c_int, c_int64, c_void_p
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from lstmlm.kernels.build import NoCompiler, build_library
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.paths import PACKAGE, find_cache

KERNEL = PACKAGE / "kernels" / "lstm_step.c"
State = Sequence[tuple[Array, Array]] | Array  # of L layers: H and C, each (N, H); or (L, 2, N, H)
GATES = "ifoc"
LINE = 64  # bytes of a line of the cache


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The kernel, built now if it has not been. None if it cannot be had: numpy then does the same, slower."""
    if os.environ.get("LSTMLM_NATIVE") == "0":
        return None
    try:
        return open_library(build_library(KERNEL, find_cache() / "kernels"))
    except (NoCompiler, OSError, AttributeError):
        return None


def open_library(path: Path) -> ctypes.CDLL:
    kernel = ctypes.CDLL(path)
    kernel.stretch.argtypes = [
        *(c_int, c_int, c_int, c_void_p),
        *(c_int, c_int, c_void_p, c_void_p, c_int, c_void_p, c_void_p),
        *(c_double, c_int64, c_double, c_double),
        *(c_int64, c_double, c_int64),
    ]
    return kernel


def pad_columns(W: Array, multiple: int) -> Array:
    """With zeros, to a last axis of a multiple of this."""
    return np.pad(W, [(0, 0)] * (W.ndim - 1) + [(0, -W.shape[-1] % multiple)])


def make_native_stepper(cell: str, book: Mapping[str, Array], num_layers: int) -> "NativeStepper | None":
    """The steps in C for weights under the book's names, if they are those of an LSTM in float32."""
    if cell != "lstm" or book["W_hq"].dtype != np.float32 or (kernel := load_library()) is None:
        return None
    return NativeStepper(kernel, book, num_layers)


class NativeStepper:
    """The weights of a model, packed as the kernel reads them, and what the kernel does with them.

    A text depends neither on what is drawn beside it nor on how it is cut into calls, to the last bit.
    """

    def __init__(self, kernel: ctypes.CDLL, book: Mapping[str, Array], num_layers: int) -> None:
        self.kernel, self.num_layers, width = kernel, num_layers, kernel.width()
        self.num_hiddens, self.vocab_size = book["W_hq"].shape

        # In panels of four vectors, (K, panels, 4, width)

        def gates(k: int, name: str) -> Array:
            W = np.stack([np.atleast_2d(book[f"layers.{k}.{name}{gate}"]) for gate in GATES], axis=1)  # (K, 4, H)
            return pad_columns(W, width).reshape(len(W), 4, -1, width).swapaxes(1, 2)

        def head(W: Array) -> Array:
            return pad_columns(W, 4 * width).reshape(len(W), -1, 4, width)

        first = gates(0, "W_x")
        if "W_e" in book:
            first = np.tensordot(book["W_e"], first, 1)
        parts = [first + gates(0, "b_"), gates(0, "W_h").swapaxes(0, 1)]
        for k in range(1, num_layers):
            parts += [gates(k, "W_h").swapaxes(0, 1), gates(k, "b_"), gates(k, "W_x").swapaxes(0, 1)]
        parts += [head(book["b_q"][None]), head(book["W_hq"]).swapaxes(0, 1)]
        self.memory = np.empty(sum(part.nbytes for part in parts) // 4 + LINE // 4, np.float32)
        self.weights = self.memory[-self.memory.ctypes.data % LINE // 4 :]  # from the start of a line of the cache
        np.concatenate([part.ravel() for part in parts], out=self.weights[: sum(part.size for part in parts)])

    def steps(self, state: State, ids: Array) -> tuple[Array, Array]:
        """Ids (n, N) -> logits (n, N, V) of what comes next, and the states after them, (n, L, 2, N, H)."""
        logits, states = self.room(*ids.shape)
        states[0] = state
        self.stretch(states, logits, np.ascontiguousarray(ids, np.int64), None, None, SamplingSettings())
        return logits[1:], states[1:]

    def draws(
        self, state: State, logits: Array, seen: Array, numbers: Array, unk: int | None, settings: SamplingSettings
    ) -> tuple[Array, Array, Array]:
        """Characters drawn from logits (N, V) on, with uniform numbers (n, N); the penalty is on those seen, (m, N).

        -> ids (n, N); logits (n + 1, N, V) and states (n + 1, L, 2, N, H), before the first character and after each.
        """
        ids = np.concatenate([seen.reshape(-1, numbers.shape[1]), np.zeros(numbers.shape, np.int64)])
        every, states = self.room(*numbers.shape)
        every[0], states[0] = logits, state
        self.stretch(states, every, ids, np.ascontiguousarray(numbers), unk, settings)
        return ids[len(seen) :], every, states

    def room(self, n: int, N: int) -> tuple[Array, Array]:
        logits = np.empty((n + 1, N, self.vocab_size), np.float32)
        return logits, np.empty((n + 1, self.num_layers, 2, N, self.num_hiddens), np.float32)

    def stretch(self, states: Array, logits: Array, ids: Array, numbers: Array | None, unk, settings) -> None:
        """The kernel's one call: it writes into states [1:], logits [1:] and, with numbers, the last n of the ids."""
        (n, N), V = (len(logits) - 1, ids.shape[1]), self.vocab_size
        enough = self.kernel.stretch(
            *(self.num_layers, self.num_hiddens, V, address_of(self.weights)),
            *(N, n, address_of(states), address_of(logits), len(ids) - n, address_of(ids), address_of(numbers)),
            *(settings.temperature, min(settings.top_k or V, V), settings.top_p, settings.min_p),
            *(-1 if unk is None else unk, np.log(settings.repetition_penalty), settings.penalty_window),
        )
        if not enough:
            raise MemoryError("no memory for the sums of a step")


def address_of(array: Array | None) -> int | None:
    """The address of a dense array."""
    return None if array is None else array.ctypes.data
