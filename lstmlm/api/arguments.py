"""Checks of the arguments of `lstmlm.api`: BadInput names the argument, what it got, and what it takes."""

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from lstmlm.api.keywords import describe
from lstmlm.settings.config import SETTINGS
from lstmlm.settings.sampling import SamplingSettings, is_whole
from lstmlm.system.errors import BadInput


def refuse(name: str, wanted: str, value: object) -> BadInput:
    return BadInput(f"{name}: must be {wanted}, got {describe(value)}")


def check_string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise refuse(name, "a str", value)
    return value


def check_seed(value: Any) -> int:
    """A whole number within the bounds of the setting `seed`."""
    facts = SETTINGS["seed"]
    if isinstance(value, bool) or not is_whole(value) or not facts.at_least <= value <= facts.at_most:
        raise refuse("seed", f"a whole number from {facts.at_least} to {facts.at_most}", value)
    return int(value)


def check_length(value: Any) -> float:
    """A number of characters, or infinity."""
    if isinstance(value, bool) or not (is_whole(value) or value == math.inf) or value < 0:
        raise refuse("length", "0 or more, a whole number or math.inf", value)
    return value if value == math.inf else int(value)


def check_layer(value: Any) -> int:
    if isinstance(value, bool) or not is_whole(value):
        raise refuse("layer", "a whole number, counted from 0", value)
    return int(value)


def check_stop(value: object) -> tuple[str, ...]:
    """A string or several, each with a character."""
    stop = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for end in stop:
        if check_string("stop", end) == "":
            raise BadInput("stop: is empty: give what the text should end with")
    return tuple(end for end in stop if isinstance(end, str))


def check_guidance(value: Any, num_labels: int) -> float:
    """A number of 0 or more; 0 for a model without labels."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise refuse("guidance", "a number, 0 or more", value)
    if value and not num_labels:
        raise BadInput("guidance: the model was trained without labels (data.label): leave it out")
    return float(value)


def check_names(options: Iterable[str], others: Sequence[str]) -> None:
    """BadInput for an option that neither is a sampling setting nor one of `others`."""
    known = [*others, *(field.name for field in fields(SamplingSettings))]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise BadInput(f"{name}: no such option: {advice}")
