"""The scale of the loss for train.precision=fp16, so that small gradients do not vanish in float16.

Micikevicius et al. 2018, "Mixed Precision Training", with the scale found on the way, as torch.amp.GradScaler does.
"""

import torch
from torch import Tensor

FIRST = 2.0**16
LEAST = 1.0  # a gradient that overflows at this scale does so by itself


class LossScale:
    """torch.amp.GradScaler, with a count of the steps that it skipped. A step of AdamW does not wait for the device.

    A step whose gradient is not finite is skipped, and the scale halved; after 2,000 steps without, it is doubled.
    """

    def __init__(self, device: torch.device) -> None:
        self.scaler = torch.amp.GradScaler(device.type, FIRST)
        self.skipped = torch.zeros((), device=device)

    def scale(self, loss: Tensor) -> Tensor:
        scaled: Tensor = self.scaler.scale(loss)
        return scaled

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale, before they are measured and clipped."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer, norm: Tensor) -> Tensor:
        """The optimizer's step, or none if the gradients were not finite when they were unscaled; adapts the scale.

        Returns `norm`, that of the gradients, or 0 for a step that was skipped. It stays infinite or NaN where the
        scale cannot be lowered: then training has diverged.
        """
        scale = self.scaler.scale(torch.ones_like(norm))
        is_skipped = ~torch.isfinite(norm) & (scale > LEAST)
        self.skipped += is_skipped
        self.scaler.step(optimizer)
        self.scaler.update()
        return norm.masked_fill(is_skipped, 0.0)

    def make_tags(self) -> dict[str, float]:
        """The figures of an evaluation. Waits for the device."""
        return {"optim/loss_scale": self.scaler.get_scale(), "optim/skipped": self.skipped.item()}

    def describe(self, steps: int) -> str:
        """For the log, after so many steps. Waits for the device."""
        scale, _, skipped = self.to_tensor().tolist()
        return f"{skipped:,.0f} of {steps:,} steps were skipped, the scale is {scale:.0f}"

    # Checkpoints

    def to_tensor(self) -> Tensor:
        """The scale, the steps since it changed, and the skipped steps, (3,)."""
        state = self.scaler.state_dict()
        found = [state["scale"], state["_growth_tracker"], self.skipped.item()]
        return torch.tensor(found, dtype=torch.float64)

    def restore(self, saved: Tensor) -> None:
        """Continue from what `to_tensor` gave; RuntimeError if that cannot be."""
        scale, since, skipped = saved.tolist()
        state = self.scaler.state_dict()
        if not scale > 0 or not 0 <= since < state["growth_interval"] or not skipped >= 0:
            raise RuntimeError("the scale of the loss")
        self.scaler.load_state_dict(state | {"scale": scale, "_growth_tracker": int(since)})
        self.skipped.fill_(skipped)


def make_loss_scale(precision: str, device: torch.device) -> LossScale | None:
    """For fp16 alone: bfloat16 has the exponents of float32."""
    return LossScale(device) if precision == "fp16" else None
