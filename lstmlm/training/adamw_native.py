"""A clipped step of AdamW in one pass, in C: kernels/adamw.c, built on first use. Float32 on a CPU."""

import ctypes
import functools
import os
from ctypes import c_double, c_int, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from lstmlm.kernels.build import NoCompiler
from lstmlm.kernels.library import Functions, load_kernel, use_torch_threads

KERNEL = "adamw"


class Parameter(ctypes.Structure):
    """A parameter as the kernel has it."""

    _fields_ = (
        ("param", c_void_p),
        ("m", c_void_p),
        ("v", c_void_p),
        ("t", c_void_p),
        ("grad", c_void_p),
        ("size", c_int64),
        ("lr", c_double),
        ("weight_decay", c_double),
    )


FUNCTIONS: Functions = {"adamw_step": (None, [ctypes.POINTER(Parameter), c_int, c_void_p, *[c_double] * 3, c_int])}


@functools.cache
def find_kernel() -> ctypes.CDLL | None:
    """The kernel, built if it is not in the cache. None where it cannot be built: PyTorch then does the same."""
    try:
        return use_torch_threads(load_kernel(KERNEL, FUNCTIONS))
    except (NoCompiler, OSError, AttributeError):
        return None


def can_step(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the kernel can make this optimizer's step."""
    if not isinstance(optimizer, torch.optim.AdamW) or os.environ.get("LSTMLM_NATIVE") == "0":
        return False
    tensors = [tensor for group in optimizer.param_groups for p in group["params"] for tensor in (p, p.grad)]
    return all(t is None or is_plain(t) for t in tensors) and find_kernel() is not None


def is_plain(tensor: Tensor) -> bool:
    """Whether the kernel can read the tensor from its address."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu" and tensor.is_contiguous()


@torch.no_grad()
def make_step(optimizer: torch.optim.Optimizer, scale: Tensor | None) -> None:
    """The optimizer's step, as after the gradients were multiplied by `scale`, where `can_step` is true.

    The gradients stay as they are. The moments are where the optimizer has them.
    """
    kernel, filled = find_kernel(), []
    assert kernel is not None
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.grad is not None:
                filled.append(describe_parameter(param, param.grad, optimizer.state[param], group))
    array = (Parameter * len(filled))(*filled)
    (beta_1, beta_2), eps = optimizer.defaults["betas"], optimizer.defaults["eps"]
    at_scale = None if scale is None else scale.data_ptr()
    kernel.adamw_step(array, len(array), at_scale, beta_1, beta_2, eps, torch.get_num_threads())


def describe_parameter(param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Parameter:
    """A parameter for the kernel; the state that PyTorch's AdamW has is made where there is none yet."""
    if not state:
        state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(param), "exp_avg_sq": torch.zeros_like(param)}
    torch.autograd.graph.increment_version(param)
    tensors = (param, state["exp_avg"], state["exp_avg_sq"], state["step"], grad)
    addresses = (tensor.data_ptr() for tensor in tensors)
    return Parameter(*addresses, param.numel(), group["lr"], group["weight_decay"])
