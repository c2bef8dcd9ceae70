"""Paths as users type them, the folders that ship with the program (conf, data), and the cache."""

import os
import re
from pathlib import Path

from lstmlm.system.errors import BadInput

PACKAGE = Path(__file__).resolve().parent.parent  # lstmlm/

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a letter alone is a drive of Windows


def expand_path(given: str | Path, what: str) -> str:
    """A path that a user typed, with a leading ~ expanded, which a shell does only at the start of a word.

    BadInput for an empty path, which is the value of a variable that is not set, and for an address of the web. `what`
    is the setting or option by which the user gave it.
    """
    text = str(given)
    if not text.strip():
        raise BadInput(f"{what}: is empty: give a path; if it came from a variable, set the variable")
    if "\0" in text:
        raise BadInput(f"{what}: {text!a:.80} has a NUL character, which no path has: leave it out")
    if ADDRESS.match(text) and not os.path.exists(text):
        raise BadInput(f"{what}: {text:.200} is an address, not a file: download it, and give the path of the file")
    return os.path.expanduser(text)


def find_shipped(folder: str) -> Path:
    """The folder inside the installed package or, in a checkout, beside the package."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def find_cache() -> Path:
    """The folder for files that can be made or downloaded again.

    It is LSTMLM_CACHE if that is set, data/cache in a checkout, and otherwise a folder in the user's cache.
    """
    if chosen := os.environ.get("LSTMLM_CACHE"):
        return Path(expand_path(chosen, "LSTMLM_CACHE"))
    if not (PACKAGE / "data").is_dir():
        return PACKAGE.parent / "data" / "cache"
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "lstmlm"
