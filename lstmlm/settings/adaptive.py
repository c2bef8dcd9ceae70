"""The settings of dynamic evaluation, their defaults and their bounds. No torch.

The defaults lower the loss on the validation parts of both Tiny Shakespeare, which favours a larger lr, and the
embedded text, which favours a smaller one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lstmlm.system.errors import BadInput

TUNED_CHARS = 10_000  # characters that lr and decay are chosen on, if they are


@dataclass(frozen=True)
class AdaptiveSettings:
    """How the weights follow the text that they score: evaluation/dynamic.py has the formulas."""

    lr: float = 5e-4  # eta
    decay: float = 1e-3  # lambda
    steps: int = 32  # T, the characters between two updates

    def check(self, spell: Callable[[str], str] = str) -> "AdaptiveSettings":
        """Itself, or BadInput that names the first setting out of its bounds, as `spell` writes its name."""
        for name, (admits, bounds) in BOUNDS.items():
            if not admits(value := getattr(self, name)):
                raise BadInput(f"{spell(name)}: must be {bounds}, got {value}")
        return self


BOUNDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda lr: 0 <= lr < math.inf, "0 or more"),
    "decay": (lambda decay: 0 <= decay <= 1, "0 (no pull towards the trained weights) to 1"),
    "steps": (lambda steps: steps >= 1, "1 or more"),
}
