"""Values for JSON, which has no infinity and no NaN."""

import math
from typing import Any


def spell_nonfinite(value: Any) -> Any:
    """The value with every infinity and NaN in it as a string that `float` reads: 'inf', '-inf', 'nan'."""
    if isinstance(value, dict):
        return {key: spell_nonfinite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [spell_nonfinite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
