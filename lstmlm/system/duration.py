"""Durations in words."""

import math


def format_duration(seconds: float) -> str:
    """'2 min 20 s': rounded to what matters, and at least 1 s."""
    exact_to = next(step for below, step in ((9.5, 1), (57.5, 5), (595, 10), (math.inf, 60)) if seconds < below)
    whole = max(1, exact_to * round(seconds / exact_to))
    parts = {"h": whole // 3600, "min": whole // 60 % 60, "s": whole % 60}
    return " ".join(f"{count} {unit}" for unit, count in parts.items() if count)
