"""Values as JSON text, with the numbers that JSON lacks."""

import json
import math


def encode_json(value: object) -> str:
    """The value as strict JSON; an infinity or a NaN becomes a string: "inf", "-inf", "nan"."""
    return json.dumps(replace_nonfinite(value), allow_nan=False)


def replace_nonfinite(value: object) -> object:
    """The value with the infinities and NaNs in its dicts, lists and tuples as strings."""
    if isinstance(value, dict):
        return {key: replace_nonfinite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_nonfinite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
