"""The computations of `fused.Loops` with products in bfloat16, in C: kernels/lstm_layer_bf16.c, for a CPU.

They are done by matrix tiles (AMX) where the processor has them and the system gives them. LSTMLM_TILES=emulate does
the same in plain C, bit for bit and slowly, for tests; LSTMLM_TILES=0 does without. Without tiles there is no gain:
then `find_way` is None, and backend=fused computes in float32.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.
"""

import ctypes
import functools
import os
from ctypes import c_int, c_int64, c_void_p
from typing import Literal

import torch
from torch import Tensor

from lstmlm.kernels.build import NoCompiler
from lstmlm.kernels.library import Functions, load_kernel, use_torch_threads
from lstmlm.layers.fused_native import (
    SIZES,
    address_of,
    check_inputs,
    check_memory,
    choose_row_blocks,
    input_addresses,
)

KERNEL = "lstm_layer_bf16"
FUNCTIONS: Functions = {
    "have_tiles": (c_int, []),
    "gate_numbers": (c_int64, [c_int] * 3),
    "tile_product": (None, [c_void_p, c_void_p, c_int, c_int, c_void_p, c_int]),
    "layer_forward": (c_int, [*SIZES, *[c_void_p] * 8, c_int, c_int, c_int]),
    "layer_backward": (c_int, [*SIZES, *[c_void_p] * 8, c_int, c_int, c_int, c_int]),
    "layer_gradients": (c_int, [*SIZES, *[c_void_p] * 7, c_int, c_int]),
}
Way = Literal["tiles", "emulation"]


@functools.cache
def find_kernel() -> ctypes.CDLL | None:
    """The kernel, built if it is not in the cache; None if it cannot be."""
    try:
        return use_torch_threads(load_kernel(KERNEL, FUNCTIONS))
    except (NoCompiler, OSError, AttributeError):
        return None


def has_tile_flags() -> bool:
    """Whether the processor has tiles for bfloat16, as Linux tells: no kernel is built to find out that it has none."""
    try:
        with open("/proc/cpuinfo") as lines:
            flags = next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:
        return False
    return "amx_bf16" in flags and "amx_tile" in flags


@functools.cache
def find_obstacle() -> str | None:
    """Why this process may not use tiles; None if it may."""
    if not has_tile_flags():
        return "the processor has no matrix tiles (AMX)"
    kernel = find_kernel()
    if kernel is None:
        return "the kernel in C could not be built"
    return None if kernel.have_tiles() == 1 else "the system does not permit the processor's matrix tiles (AMX)"


def find_way() -> Way | None:
    """How products in bfloat16 are computed; None if float32 is faster."""
    wanted = os.environ.get("LSTMLM_TILES")
    if os.environ.get("LSTMLM_NATIVE") == "0" or wanted == "0":
        return None
    if wanted == "emulate":
        return None if find_kernel() is None else "emulation"
    return "tiles" if find_obstacle() is None else None


def explain_way() -> str:
    """A line for the log of a run in bfloat16 on a CPU."""
    way = find_way()
    if way == "tiles":
        return "products by the processor's matrix tiles (AMX)"
    if way == "emulation":
        return "matrix tiles are emulated in C, which is slow (LSTMLM_TILES=emulate)"
    return f"backend=fused computes in float32, which is faster here: {find_obstacle() or 'the tiles are turned off'}"


def can_run(W: Tensor) -> bool:
    """Whether tensors like this one are multiplied in bfloat16: float32 on a CPU, under autocast to bfloat16."""
    if W.dtype != torch.float32 or W.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") == torch.bfloat16 and find_way() is not None


def get_kernel() -> tuple[ctypes.CDLL, bool]:
    """The kernel, where there is a way, and whether it emulates."""
    kernel, way = find_kernel(), find_way()
    assert kernel is not None and way is not None
    return kernel, way == "emulation"


def forward(X: Tensor, W_x: Tensor, W_h: Tensor, b: Tensor, Hs: Tensor, Cs: Tensor) -> Tensor:
    """As `Loops.forward`. The gates are an array in the kernel's layout."""
    T, B, D, H, threads = *X.shape[:2], len(W_x), len(W_h), torch.get_num_threads()
    check_inputs(X, D)
    kernel, emulated = get_kernel()
    gates = W_h.new_empty(kernel.gate_numbers(T, B, H))
    tensors = (*input_addresses(X), *map(address_of, (W_x, W_h, b, gates, Hs, Cs)))
    done = kernel.layer_forward(T, B, D, H, *tensors, choose_row_blocks(B, H, threads), threads, emulated)
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
    (T, B, H), D, threads = grads[0].shape, len(W_x), torch.get_num_threads()
    dX = gates.new_empty(T, B, D) if wants_dX else None
    dY, dH, dC = grads[0].contiguous(), grads[1].clone(), grads[2].clone()  # the kernel writes to dH and dC
    tensors = map(address_of, (W_x, W_h, gates, Cs, dY, dH, dC, dX))
    kernel, emulated = get_kernel()
    row_blocks = choose_row_blocks(B, H, threads)
    check_memory(kernel.layer_backward(T, B, D, H, *tensors, wants_dH, row_blocks, threads, emulated))
    torch.autograd.graph.increment_version(gates)
    return gates, dH if wants_dH else None, dC, dX


def compute_weight_gradients(X: Tensor, Hs: Tensor, dG: Tensor, W_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `Loops.compute_weight_gradients`."""
    (T, B), (D, G) = X.shape[:2], W_x.shape
    dW_x, dW_h, db = torch.empty_like(W_x), W_x.new_empty(G // 4, G), W_x.new_empty(G)
    if B == 0:
        return dW_x.zero_(), dW_h.zero_(), db.zero_()
    tensors = (*input_addresses(X), *map(address_of, (Hs, dG, dW_x, dW_h, db)))
    kernel, emulated = get_kernel()
    check_memory(kernel.layer_gradients(T, B, D, G // 4, *tensors, torch.get_num_threads(), emulated))
    return dW_x, dW_h, db
