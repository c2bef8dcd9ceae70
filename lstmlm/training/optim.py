"""Optimizers and schedules. A schedule is a function of the run's progress, 0 at the start and 1 at the end."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.dotted import under

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's state besides its step count


def build_optimizer(model: RNNModel, name: str, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """`sgd` as in the book, or `adamw` (Loshchilov and Hutter 2019). Weight decay is for matrices, not biases."""
    params = list(model.trained().values())
    groups = [
        {"params": [param for param in params if param.dim() > 1], "weight_decay": weight_decay},
        {"params": [param for param in params if param.dim() <= 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr)
    # beta_2 is 0.99, not 0.999, because runs are short; fused: one pass over the weights
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), fused=True)


OPTIMIZERS = ("sgd", "adamw")


def moments_to_book(model: RNNModel, optimizer: torch.optim.Optimizer) -> Tensors:
    """The optimizer's state under the book's names (`exp_avg.layers.0.W_xi`, ..., `step`); empty for SGD."""
    state = {name: optimizer.state[param] for name, param in model.trained().items() if param in optimizer.state}
    if not any(state.values()):
        return {}
    book = {"step": torch.as_tensor(next(iter(state.values()))["step"]).clone()}
    for moment in MOMENTS:
        own = {name: slots[moment] for name, slots in state.items()}
        book |= {f"{moment}.{name}": tensor.clone() for name, tensor in model.to_book(own).items()}
    return book


def moments_from_book(model: RNNModel, optimizer: torch.optim.Optimizer, book: Tensors) -> None:
    """The inverse of `moments_to_book`, for a model on any backend of the same shape."""
    if not book:
        return
    for moment in MOMENTS:
        for name, tensor in model.from_book(under(f"{moment}.", book)).items():
            param = model.get_parameter(name)
            optimizer.state[param]["step"] = book["step"].clone().to(param.device)
            optimizer.state[param][moment] = tensor.to(param).contiguous().clone()


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


# Schedules: progress -> factor on the learning rate


def constant(progress: float) -> float:
    return 1.0


def cosine(progress: float) -> float:
    """From 1 down to 0 along half a cosine (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def linear(progress: float) -> float:
    """From 1 straight down to 0 (Defazio et al. 2023, "Optimal Linear Decay Learning Rate Schedules")."""
    return max(0.0, 1 - progress)


SCHEDULES = {"constant": constant, "cosine": cosine, "linear": linear}


def compute_lr_factor(progress: float, schedule: str, warmup: float, step_share: float = 0.0) -> float:
    """The factor of the step that starts at this progress: linear over the fraction `warmup`, then the schedule.

    `step_share` is the fraction of the run that a step takes. With it the rate rises in equal parts from the first step
    of the warm-up, which has one part, to the first step after it, which has the peak; without it the first step has 0.
    """
    if progress < warmup:
        return (progress + step_share) / (warmup + step_share)
    return SCHEDULES[schedule]((progress - warmup) / (1 - warmup))


def compute_norm(params: Sequence[Tensor]) -> Tensor:
    """The global norm of the gradients, on the device, finite or not."""
    return torch.nn.utils.get_total_norm([param.grad for param in params if param.grad is not None])


def compute_clip_factor(norm: Tensor, theta: float | None) -> Tensor | None:
    """The factor of gradients with this norm: min(1, theta / norm) (d2l section 9.5), or None for no theta."""
    return None if theta is None else (theta / norm).clamp(max=1.0)


def scale_gradients(params: Sequence[Tensor], factor: Tensor | None) -> None:
    """Multiply the gradients by a factor; None: by 1."""
    for param in params:
        if param.grad is not None and factor is not None:
            param.grad.mul_(factor)
