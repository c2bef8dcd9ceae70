"""The steps of `fused.py` in C: kernels/lstm_layer.c, built on first use. Float32 on a CPU.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.
"""

import ctypes
import functools
import logging
import os

import torch
from torch import Tensor

from lstmlm.kernels.build import NoCompiler, build_library
from lstmlm.system.paths import PACKAGE, find_cache

KERNEL = PACKAGE / "kernels" / "lstm_layer.c"


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The kernel, built now if it has not been; None, and one line in the log, if it cannot be had."""
    try:
        return open_library(build_library(KERNEL, find_cache() / "kernels"))
    except (NoCompiler, OSError, AttributeError) as error:
        log_reason(str(error))
        return None


@functools.cache  # once for each reason
def log_reason(why: str) -> None:
    logging.getLogger("lstmlm").info("backend=fused runs in PyTorch, without its kernel in C: %s", why)


def open_library(path: os.PathLike) -> ctypes.CDLL:
    """The library, told which threads to use: those of PyTorch's own OpenMP (none: it runs on one)."""
    kernel = ctypes.CDLL(path)
    everything = ctypes.CDLL(None)
    team = ("GOMP_parallel", "omp_get_num_threads", "omp_get_thread_num")
    if all(hasattr(everything, name) for name in team):
        kernel.use_team(*(ctypes.cast(getattr(everything, name), ctypes.c_void_p) for name in team))
    return kernel


def can_run(W: Tensor) -> bool:
    """Can the kernel work on tensors like this one? If not, one line in the log, but for LSTMLM_NATIVE=0: so chosen."""
    if os.environ.get("LSTMLM_NATIVE") == "0":
        return False
    if W.dtype == torch.float32 and W.device.type == "cpu":
        return load_library() is not None
    log_reason(f"that is for float32 on a cpu, not for {str(W.dtype).removeprefix('torch.')} on {W.device.type}")
    return False


def address_of(tensor: Tensor | None) -> ctypes.c_void_p | None:
    """The address of a dense tensor."""
    assert tensor is None or tensor.is_contiguous()
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())


def choose_row_blocks(B: int, H: int, threads: int) -> int:
    """How many blocks of the batch, for the rest of the threads to share the units.

    Measured on two cores: rows, unless they are few, or W_h is larger than a core's cache (benchmarks/LOG.md).
    """
    return threads if 4 * threads <= B and 4 * 4 * H * H <= 2**21 else 1


def input_addresses(X: Tensor) -> tuple:
    """X as the kernel takes it: dense, or ids."""
    return (address_of(X), None) if X.is_floating_point() else (None, address_of(X))


def forward(X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor) -> Tensor:
    """As `Loops.forward`; the gates (T, B, columns) lie as the kernel has them, filled up with zeros."""
    T, B, D, H, threads = *X.shape[:2], *W_x.shape[:1], *W_h.shape[:1], torch.get_num_threads()
    gates = W_h.new_empty(T, B, load_library().gate_columns(H))
    tensors = (*input_addresses(X), *map(address_of, (W_x, W_h, b, gates, Hs, Cs)))
    check_memory(load_library().layer_forward(T, B, D, H, *tensors, choose_row_blocks(B, H, threads), threads))
    return gates


def backward(W_x: Tensor, W_h: Tensor, gates: Tensor, Cs: Tensor, grads: tuple, wants_dX: bool, wants_dH: bool):
    """As `Loops.backward`."""
    (T, B, _), D, H, threads = gates.shape, len(W_x), len(W_h), torch.get_num_threads()
    dX = gates.new_empty(T, B, D) if wants_dX else None
    dY, dH, dC = grads[0].contiguous(), grads[1].clone(), grads[2].clone()  # dH and dC are written to
    tensors = map(address_of, (W_x, W_h, gates, Cs, dY, dH, dC, dX))
    check_memory(
        load_library().layer_backward(T, B, D, H, *tensors, wants_dH, choose_row_blocks(B, H, threads), threads)
    )
    torch.autograd.graph.increment_version(gates)
    return gates, dH if wants_dH else None, dC, dX


def gradients(X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor):
    """As `Loops.gradients`."""
    (T, B), (D, G) = X.shape[:2], W_x.shape
    dW_x, dW_h, db = torch.empty_like(W_x), W_x.new_empty(G // 4, G), W_x.new_empty(G)
    tensors = (*input_addresses(X), *map(address_of, (Hs, dG, dW_x, dW_h, db)))
    check_memory(load_library().layer_gradients(T, B, D, G // 4, *tensors, torch.get_num_threads()))
    return dW_x, dW_h, db


def check_memory(memory: int) -> None:
    if not memory:
        raise MemoryError("the kernel of backend=fused found no memory for a copy of the weights")
