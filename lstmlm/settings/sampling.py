"""The settings of a draw, their defaults and their bounds. No torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypedDict

from lstmlm.system.errors import BadInput

# The formats of the layers' weights in the steps in C, in the order of kernels/row_products.h
WEIGHTS = ("float32", "bf16", "int8")


@dataclass(frozen=True)
class SamplingSettings:
    """How characters are drawn from the model's probabilities; generation/sampling.py says what each setting does."""

    temperature: float = 0.6  # chosen by looking at samples: docs/generating.md
    top_k: int | None = None  # None, like top_p=1 and min_p=0, keeps every character
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    penalty_window: int = 64

    def check(self, spell: Callable[[str], str] = str) -> "SamplingSettings":
        """Itself, or BadInput that names the first setting out of its bounds, as `spell` writes its name."""
        for name, (admits, bounds) in BOUNDS.items():
            value = getattr(self, name)
            is_number = isinstance(value, Real) or (value is None and name == "top_k")
            if not is_number or not admits(value):
                raise BadInput(f"{spell(name)}: must be {bounds}, got {value!a:.40}")
        return self

    def without_effect(self) -> list[str]:
        """The settings that were given a value and change nothing beside the others."""
        idle = [name for name in ("top_k", "top_p", "min_p") if self.temperature == 0 and not self.is_default(name)]
        if self.repetition_penalty == 1 and not self.is_default("penalty_window"):
            idle.append("penalty_window")
        return idle

    def is_default(self, name: str) -> bool:
        return bool(getattr(self, name) == getattr(SamplingSettings, name))


def is_whole(value: Any) -> bool:
    return isinstance(value, Integral)


class SamplingOptions(TypedDict, total=False):
    """SamplingSettings as keyword arguments."""

    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    repetition_penalty: float
    penalty_window: int


BOUNDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "temperature": (lambda T: 0 <= T < math.inf, "0 (always the most probable character) or more"),
    "top_k": (lambda k: k is None or (is_whole(k) and k >= 1), "a whole number, 1 or more"),
    "top_p": (lambda p: 0 < p <= 1, "more than 0 and at most 1"),
    "min_p": (lambda p: 0 <= p < 1, "0 or more and less than 1"),
    "repetition_penalty": (lambda penalty: 0 < penalty < math.inf, "more than 0"),
    "penalty_window": (lambda window: is_whole(window) and window >= 1, "a whole number, 1 or more"),
}
