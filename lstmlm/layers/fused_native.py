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
    "layer_forward": (c_int, [*SIZES, *[c_void_p] * 8, c_int, c_int]),
    "layer_backward": (c_int, [*SIZES, *[c_void_p] * 8, c_int, c_int, c_int]),
    "layer_gradients": (c_int, [*SIZES, *[c_void_p] * 7, c_int]),
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


def check_inputs(X: Tensor, D: int) -> None:
    """RuntimeError if the kernel, which sees an address alone, would read something else than X."""
    expected = (torch.float32, (*X.shape[:2], D)) if X.is_floating_point() else (torch.int64, X.shape[:2])
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


def forward(X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor) -> Tensor:
    """As `Loops.forward`. The gates (T, B, columns) have the kernel's layout, padded with zeros."""
    T, B, D, H, threads = *X.shape[:2], len(W_x), len(W_h), torch.get_num_threads()
    check_inputs(X, D)
    gates = W_h.new_empty(T, B, get_kernel().gate_columns(H))
    tensors = (*input_addresses(X), *map(address_of, (W_x, W_h, b, gates, Hs, Cs)))
    done = get_kernel().layer_forward(T, B, D, H, *tensors, choose_row_blocks(B, H, threads), threads)
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
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    """As `Loops.backward`."""
    (T, B, _), D, H, threads = gates.shape, len(W_x), len(W_h), torch.get_num_threads()
    dX = gates.new_empty(T, B, D) if wants_dX else None
    dY, dH, dC = grads[0].contiguous(), grads[1].clone(), grads[2].clone()  # the kernel writes to dH and dC
    tensors = map(address_of, (W_x, W_h, gates, Cs, dY, dH, dC, dX))
    check_memory(get_kernel().layer_backward(T, B, D, H, *tensors, wants_dH, choose_row_blocks(B, H, threads), threads))
    torch.autograd.graph.increment_version(gates)
    return gates, dH if wants_dH else None, dC, dX


def compute_weight_gradients(X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `Loops.compute_weight_gradients`."""
    (T, B), (D, G) = X.shape[:2], W_x.shape
    dW_x, dW_h, db = torch.empty_like(W_x), W_x.new_empty(G // 4, G), W_x.new_empty(G)
    if B == 0:  # for which the kernel writes nothing
        return dW_x.zero_(), dW_h.zero_(), db.zero_()
    tensors = (*input_addresses(X), *map(address_of, (Hs, dG, dW_x, dW_h, db)))
    check_memory(get_kernel().layer_gradients(T, B, D, G // 4, *tensors, torch.get_num_threads()))
    return dW_x, dW_h, db


def check_memory(allocated: int) -> None:
    """MemoryError if a call of the kernel could not allocate its copy of the weights."""
    if not allocated:
        raise MemoryError("the kernel of backend=fused found no memory for a copy of the weights")
