"""Where the folders that travel with the program (conf, data) are, in a checkout or in the wheel; and the cache."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent  # lstmlm/


def find_shipped(folder: str) -> Path:
    """The folder inside the installed package, or beside it in a checkout."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def find_cache() -> Path:
    """The folder for what can be made or fetched again: LSTMLM_CACHE, data/cache of a checkout, or the user's cache."""
    if chosen := os.environ.get("LSTMLM_CACHE"):
        return Path(chosen)
    if not (PACKAGE / "data").is_dir():
        return PACKAGE.parent / "data" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstmlm"
