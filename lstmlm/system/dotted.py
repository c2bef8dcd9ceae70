"""Dotted names, such as `train.lr` and `layers.0.W_xi`: from nested values, and those below a prefix."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


def under(prefix: str, named: Mapping[str, Value]) -> dict[str, Value]:
    """The entries whose names begin with the prefix, under the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """{'train.lr': 0.01, ...}: the values of a dataclass, or of nested dicts, under their dotted names."""
    flat: dict[str, Any] = {}
    inner = asdict(nested) if is_dataclass(nested) and not isinstance(nested, type) else nested
    for key, value in inner.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
