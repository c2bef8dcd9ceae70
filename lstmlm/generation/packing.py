"""The weights of an LSTM as kernels/lstm_step.c reads them: one array, whose matrices are in panels.

K = rows of a matrix, V = vocab_size, H = num_hiddens. A panel has the columns of four vectors of `width` numbers: of
the gates' matrices the four gates of `width` units. W_h and W_x may be small (WEIGHTS): bfloat16, or int8 with a scale
for each column. Their lines then hold two rows of the matrix, side by side in each column; an odd K gets a row of
zeros.
"""

from collections.abc import Mapping

import numpy as np

from lstmlm.system.arrays import Array, Floats

GATES = "ifoc"  # in the order of the kernel
CACHE_LINE = 64  # bytes
LARGEST_INT8 = 127
STATE_STEPS = 2047  # the kernel takes a hidden state in 1/2047, 12 bits, where weights are int8
MOST_INT8_ROWS = (2**31 - 1) // (LARGEST_INT8 * STATE_STEPS)  # for which every sum is an int32


def pack_model(weights: Mapping[str, Floats], num_layers: int, width: int, kind: str = "float32") -> Array:
    """The packed weights, from those under d2l's names, as bytes from the start of a cache line."""

    def pack_gates(k: int, name: str) -> Floats:
        W = np.stack([np.atleast_2d(weights[f"layers.{k}.{name}{gate}"]) for gate in GATES], axis=1)  # (K, 4, H)
        return pad_columns(W, width).reshape(len(W), 4, -1, width).swapaxes(1, 2)  # (K, panels, 4, width)

    def pack_matrix(k: int, name: str) -> list[Array]:
        return PACKERS[kind](pack_gates(k, name).swapaxes(0, 1))

    def pack_head(W: Floats) -> Floats:
        return pad_columns(W, 4 * width).reshape(len(W), -1, 4, width)

    first = pack_gates(0, "W_x")
    if "W_e" in weights:
        first = np.tensordot(weights["W_e"], first, 1)
    parts: list[Array] = [first + pack_gates(0, "b_"), *pack_matrix(0, "W_h")]
    for k in range(1, num_layers):
        parts += [*pack_matrix(k, "W_h"), pack_gates(k, "b_"), *pack_matrix(k, "W_x")]
    parts += [pack_head(weights["b_q"][None]), pack_head(weights["W_hq"]).swapaxes(0, 1)]
    return join_aligned(parts)


def pad_columns(W: Floats, multiple: int) -> Floats:
    """W with columns of zeros appended to its last axis, up to a multiple of `multiple`."""
    return np.pad(W, [(0, 0)] * (W.ndim - 1) + [(0, -W.shape[-1] % multiple)])


def join_aligned(parts: list[Array]) -> Array:
    """The bytes of all parts, one after the other, from the start of a cache line."""
    size = sum(part.nbytes for part in parts)
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    joined = memory[start : start + size]
    np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in parts], out=joined)
    return joined


# The panels (panels, K, 4, width) of a matrix -> the arrays that stand for it


def pack_float32(W: Floats) -> list[Array]:
    return [W]


def pack_bf16(W: Floats) -> list[Array]:
    return [pair_lines(round_to_bf16(W))]


def pack_int8(W: Floats) -> list[Array]:
    """The integers, then the scales, which have the step of the hidden state in them; a column of zeros has scale 0."""
    scale = np.abs(W).max(1, keepdims=True) / np.float32(LARGEST_INT8)
    integers = np.rint(np.divide(W, scale, out=np.zeros_like(W), where=scale > 0))
    return [pair_lines(integers.astype(np.int8)), scale / np.float32(STATE_STEPS)]


PACKERS = {"float32": pack_float32, "bf16": pack_bf16, "int8": pack_int8}


def round_to_bf16(W: Floats) -> Array:
    """The bits of the nearest bfloat16, ties to even, of finite numbers."""
    bits = np.ascontiguousarray(W, np.float32).view(np.uint32)
    upper: Array = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return upper.astype(np.uint16)


def pair_lines(W: Array) -> Array:
    """(panels, K, 4, width) -> (panels, K / 2, 4, width, 2), with a line of zeros where K is odd."""
    panels, K, *rest = W.shape
    even = np.pad(W, [(0, 0), (0, K % 2), (0, 0), (0, 0)])
    return np.moveaxis(even.reshape(panels, -1, 2, *rest), 2, -1)
