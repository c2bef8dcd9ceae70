"""The settings of dynamic evaluation, their defaults and their bounds. No torch.

Tiny Shakespeare favours an lr of 1e-3, the embedded text one of 2.5e-4 or less. Both are in LRS, from which the text
that is scored chooses on the way (evaluation/online_rate.py), unless the user does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lstmlm.system.errors import BadInput

LRS = (2.5e-4, 5e-4, 1e-3)
TUNED_CHARS = 10_000  # characters that lr and decay are chosen on, if they are


@dataclass(frozen=True)
class AdaptiveSettings:
    """How the weights follow the text that they score: evaluation/dynamic.py has the formulas."""

    lr: float = LRS[1]  # eta, where it is neither given nor chosen
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
