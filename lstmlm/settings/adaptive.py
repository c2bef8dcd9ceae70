"""How a model learns from the text that it is scored on: the settings, their defaults and what they may be. No torch.

The defaults gain on the validation parts of both Tiny Shakespeare, which rewards a larger lr, and the embedded text,
which rewards a smaller one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lstmlm.system.errors import BadInput


@dataclass(frozen=True)
class AdaptiveSettings:
    lr: float = 5e-4  # eta of adaptive.py
    decay: float = 1e-3  # lambda
    steps: int = 32  # T

    def check(self, spell: Callable[[str], str] = str) -> "AdaptiveSettings":
        """Itself, or BadInput that names, as `spelled`, the first setting that means nothing."""
        for name, (means_something, what) in MAY_BE.items():
            if not means_something(value := getattr(self, name)):
                raise BadInput(f"{spelled(name)}: must be {what}, got {value}")
        return self


MAY_BE = {
    "lr": (lambda lr: 0 <= lr < math.inf, "0 or more"),
    "decay": (lambda decay: 0 <= decay <= 1, "0 (the trained weights do not pull) to 1"),
    "steps": (lambda steps: steps >= 1, "1 or more"),
}
