"""Dotted names, such as `train.lr` and `layers.0.W_xi`: flat dictionaries of nested values, selected by a prefix."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


def under(prefix: str, named: Mapping[str, Value]) -> dict[str, Value]:
    """The entries whose names begin with the prefix; the prefix is removed from the names."""
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a dataclass or of nested dictionaries by their dotted names: {'train.lr': 0.01, ...}."""
    flat: dict[str, Any] = {}
    for key, value in (asdict(config) if is_dataclass(config) and not isinstance(config, type) else config).items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
