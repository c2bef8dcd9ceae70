"""The trained models that ship, by name: data/models/NAME.safetensors and its card, NAME.md. No torch."""

from pathlib import Path

from lstmlm.system.paths import find_shipped

SUFFIX, CARD = ".safetensors", ".md"


def list_shipped() -> dict[str, Path]:
    """name: its checkpoint file."""
    return {path.stem: path for path in sorted((find_shipped("data") / "models").glob(f"*{SUFFIX}"))}


def find_card(name: str) -> Path:
    """The card of a model: where it comes from, its figures, its licence."""
    return list_shipped()[name].with_suffix(CARD)
