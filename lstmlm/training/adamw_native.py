"""A clipped step of AdamW in one pass, in C: kernels/adamw.c, built on first use. Float32 on a CPU."""

import ctypes
import functools
import math
import os
from ctypes import c_float, c_int, c_int64, c_void_p
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
        ("grad", c_void_p),
        ("size", c_int64),
        ("keep", c_float),
        ("rate", c_float),
        ("root", c_float),
    )


FUNCTIONS: Functions = {"adamw_step": (None, [ctypes.POINTER(Parameter), c_int, *[c_float] * 5, c_int])}


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
    beta_1, beta_2 = optimizer.defaults["betas"]
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.grad is not None:
                filled.append(describe_parameter(param, param.grad, optimizer.state[param], group))
    array = (Parameter * len(filled))(*filled)
    factor = 1.0 if scale is None else float(scale)
    numbers = (factor, 1 - beta_1, beta_2, 1 - beta_2, optimizer.defaults["eps"])
    kernel.adamw_step(array, len(array), *numbers, torch.get_num_threads())


def describe_parameter(param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Parameter:
    """A parameter with its step counted; the state that PyTorch's AdamW has is made where there is none yet."""
    if not state:
        state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(param), "exp_avg_sq": torch.zeros_like(param)}
    state["step"] += 1
    (beta_1, beta_2), lr, t = group["betas"], group["lr"], float(state["step"])
    torch.autograd.graph.increment_version(param)
    return Parameter(
        *(tensor.data_ptr() for tensor in (param, state["exp_avg"], state["exp_avg_sq"], grad)),
        param.numel(),
        keep=1 - lr * group["weight_decay"],
        rate=-lr / (1 - beta_1**t),
        root=math.sqrt(1 - beta_2**t),
    )
