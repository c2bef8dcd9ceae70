"""The folders that ship with the program (conf, data), in a checkout or in the wheel, and the cache."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent  # lstmlm/


def find_shipped(folder: str) -> Path:
    """The folder inside the installed package or, in a checkout, beside the package."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def find_cache() -> Path:
    """The folder for files that can be made or downloaded again.

    It is LSTMLM_CACHE if that is set, data/cache in a checkout, and otherwise a folder in the user's cache.
    """
    if chosen := os.environ.get("LSTMLM_CACHE"):
        return Path(chosen)
    if not (PACKAGE / "data").is_dir():
        return PACKAGE.parent / "data" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstmlm"
