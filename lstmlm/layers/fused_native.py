"""The three computations of `fused.Loops` in C: kernels/lstm_layer.c, built on first use. Float32 on a CPU.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.
"""

import ctypes
import functools
import logging
import os
from ctypes import c_int, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.kernels.build import NoCompiler
from lstmlm.kernels.library import Functions, load_kernel, open_library, use_torch_threads

KERNEL = "lstm_layer"
SIZES = [c_int] * 4  # T, B, D, H
FUNCTIONS: Functions = {
    "gate_columns": (c_int, [c_int]),
    "layer_forward": (c_int, [*SIZES, *[c_void_p] * 9, c_int, c_int]),
    "layer_backward": (c_int, [*SIZES, *[c_void_p] * 9, c_int, c_int, c_int]),
    "layer_gradients": (c_int, [c_int, c_int, c_int, *[c_void_p] * 8, c_int]),
}


@functools.cache
def find_kernel() -> ctypes.CDLL | None:
    """The kernel, built if it is not in the cache; None, with one line in the log, if it is not available."""
    try:
        return use_torch_threads(load_kernel(KERNEL, FUNCTIONS))
    except (NoCompiler, OSError, AttributeError) as error:
        log_reason(str(error))
        return None


@functools.cache  # once for each reason
def log_reason(why: str) -> None:
    """Log why the kernel is not used."""
    logging.getLogger("lstmlm").info("backend=fused runs in PyTorch, without its kernel in C: %s", why)


def open_kernel(path: Path) -> ctypes.CDLL:
    """The kernel in this library."""
    return use_torch_threads(open_library(path, FUNCTIONS))


def can_run(W: Tensor) -> bool:
    """Whether the kernel computes with tensors like this one. If not, one line in the log, unless LSTMLM_NATIVE=0."""
    if os.environ.get("LSTMLM_NATIVE") == "0":
        return False
    if W.dtype == torch.float32 and W.device.type == "cpu":
        return find_kernel() is not None
    log_reason(f"that is for float32 on a cpu, not for {str(W.dtype).removeprefix('torch.')} on {W.device.type}")
    return False


def get_kernel() -> ctypes.CDLL:
    """The kernel, where `can_run` is true."""
    kernel = find_kernel()
    assert kernel is not None
    return kernel


def address_of(tensor: Tensor | None) -> int | None:
    """The address of a contiguous tensor."""
    assert tensor is None or tensor.is_contiguous()
    return None if tensor is None else tensor.data_ptr()


def input_addresses(X: Tensor) -> tuple[int | None, int | None]:
    """The addresses of dense inputs and of ids; X is one of the two, and the other address is None."""
    return (address_of(X), None) if X.is_floating_point() else (None, address_of(X))


def check_inputs(X: Tensor, D: int, axes: int = 2) -> None:
    """RuntimeError if the kernel, which sees an address alone, would read something else than X: dense (T, B, D) or ids
    (T, B), with as many axes before D.
    """
    rows = X.shape[:axes]
    expected = (torch.float32, (*rows, D)) if X.is_floating_point() else (torch.int64, rows)
    if (X.dtype, tuple(X.shape)) != (expected[0], tuple(expected[1])) or X.device.type != "cpu":
        kind = str(X.dtype).removeprefix("torch.")
        raise RuntimeError(
            f"X is float32 (T, B, {D}) or ids (T, B), on a cpu, not {kind} {tuple(X.shape)} on {X.device}"
        )


def choose_row_blocks(B: int, H: int, threads: int) -> int:
    """The number of blocks that the rows of a batch are split into; threads of one block split the units.

    Measured on two cores (benchmarks/LOG.md): splitting the rows is faster, unless the rows are few or W_h is larger
    than a core's cache.
    """
    return threads if 4 * threads <= B and 4 * 4 * H * H <= 2**21 else 1


def forward(
    X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor, left: Tensor | None = None
) -> Tensor:
    """As `Loops.forward`. The gates (T, B, columns) have the kernel's layout, padded with zeros.

    `left` is that of PackedSpans: X, gates and states are then packed, (N, ...) in place of (T, B, ...).
    """
    T, B = X.shape[:2] if left is None else (len(left), int(left[0]))
    D, H, threads = len(W_x), len(W_h), torch.get_num_threads()
    rows = X.shape[:2] if left is None else X.shape[:1]
    check_inputs(X, D, len(rows))
    gates = W_h.new_empty(*rows, get_kernel().gate_columns(H))
    tensors = (address_of(left), *input_addresses(X), *map(address_of, (W_x, W_h, b, gates, Hs, Cs)))
    row_blocks = 1 if left is not None else choose_row_blocks(B, H, threads)
    done = get_kernel().layer_forward(T, B, D, H, *tensors, row_blocks, threads)
    if done == -1:
        raise RuntimeError(f"an id is out of range: there are {D} ids, from 0 on")
    check_memory(done)
    return gates


def backward(
    W_x: Tensor,
    W_h: Tensor,
    gates: Tensor,
    Cs: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    wants_dX: bool,
    wants_dH: bool,
    left: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    """As `Loops.backward`; `left` as in `forward`."""
    T, B = gates.shape[:2] if left is None else (len(left), int(left[0]))
    D, H, threads = len(W_x), len(W_h), torch.get_num_threads()
    dX = gates.new_empty(*gates.shape[:-1], D) if wants_dX else None
    dY, dH, dC = grads[0].contiguous(), grads[1].clone(), grads[2].clone()  # the kernel writes to dH and dC
    tensors = map(address_of, (left, W_x, W_h, gates, Cs, dY, dH, dC, dX))
    row_blocks = 1 if left is not None else choose_row_blocks(B, H, threads)
    check_memory(get_kernel().layer_backward(T, B, D, H, *tensors, wants_dH, row_blocks, threads))
    torch.autograd.graph.increment_version(gates)
    return gates, dH if wants_dH else None, dC, dX


def compute_weight_gradients(
    X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor, before: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """As `Loops.compute_weight_gradients`. With `before`, that of PackedSpans, Hs (S + N, H) are all states."""
    rows, (D, G) = dG.shape[:-1].numel(), W_x.shape
    dW_x, dW_h, db = torch.empty_like(W_x), W_x.new_empty(G // 4, G), W_x.new_empty(G)
    if rows == 0:  # for which the kernel writes nothing
        return dW_x.zero_(), dW_h.zero_(), db.zero_()
    tensors = (address_of(before), *input_addresses(X), *map(address_of, (Hs, dG, dW_x, dW_h, db)))
    check_memory(get_kernel().layer_gradients(rows, D, G // 4, *tensors, torch.get_num_threads()))
    return dW_x, dW_h, db


def check_memory(allocated: int) -> None:
    """MemoryError if a call of the kernel could not allocate its copy of the weights."""
    if not allocated:
        raise MemoryError("the kernel of backend=fused found no memory for a copy of the weights")
