"""Sums over training steps: nats, characters, gradient norms, clipped steps. Kept on the device between readings."""

from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from lstmlm.evaluation.scoring import Score
from lstmlm.system.errors import Diverged


@dataclass(frozen=True)
class Reading:
    """Sums over some training steps: of nats, characters, gradient norms before clipping, and clipped steps."""

    nats: float = 0.0
    chars: int = 0
    norms: float = 0.0
    clipped: float = 0.0
    steps: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def score(self) -> Score:
        return Score(self.nats, self.chars)

    def gradient_tags(self) -> dict[str, float]:
        return {"optim/grad_norm": self.norms / self.steps, "optim/clipped": self.clipped / self.steps}


class Meter:
    """The sums since the last reading. Only `read` and `check` wait for the device."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, device=device)  # nats, norms before clipping, clipped steps
        self.first_bad_step = torch.full((), -1, device=device)
        self.chars = self.steps = 0

    def add(self, step: int, loss: Tensor, norm: Tensor, chars: int, grad_clip: float | None) -> None:
        clipped = norm > (torch.inf if grad_clip is None else grad_clip)
        self.sums += torch.stack([loss.detach() * chars, norm, clipped])
        bad = ~(torch.isfinite(loss.detach()) & torch.isfinite(norm)) & (self.first_bad_step < 0)
        self.first_bad_step.masked_fill_(bad, step)
        self.chars, self.steps = self.chars + chars, self.steps + 1

    def check(self) -> None:
        """Diverged if the loss or the norm of a step was not finite. Waits for the device."""
        if (step := int(self.first_bad_step)) >= 0:
            raise Diverged(
                f"training diverged at step {step}: the loss or the norm of its gradient is not finite: "
                f"lower train.lr or train.grad_clip; the last good checkpoint is intact"
            )

    def read(self) -> Reading:
        """The sums since the last call; Diverged as in `check`."""
        self.check()
        nats, norms, clipped = self.sums.tolist()
        reading = Reading(nats, self.chars, norms, clipped, self.steps)
        self.sums.zero_()
        self.chars = self.steps = 0
        return reading

    def restore(self, sums: Tensor, chars: int, steps: int) -> None:
        """Continue from the sums (3,), characters and steps that no reading has covered yet."""
        self.sums.copy_(sums)
        self.chars, self.steps = chars, steps
