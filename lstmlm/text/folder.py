"""The files that a folder or a pattern means: the order, and those that are left out.

A folder of texts also has files that nobody wrote as a text: copies that an editor keeps, hidden files, and the runs
that this program makes in it. With them a folder would be another text after each run, and the validation part a copy
of the training part.
"""

import glob
import itertools
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lstmlm.system.errors import BadInput

MAX_FILES = 100_000
SHOWN = 3  # names in a note at most

BACKUP = re.compile(r".*(~|\.bak|\.orig|\.old|\.swp|\.swo|\.tmp|\.save)|#.*#|Thumbs\.db|desktop\.ini", re.IGNORECASE)
# Files of a run or a sweep; a folder with one of the first, or with both of the log and the settings, is its directory
ONLY_RUNS_HAVE = re.compile(r"(best|last|previous)\.safetensors|metrics\.jsonl|multirun\.yaml")
RUNS_HAVE = re.compile(rf"{ONLY_RUNS_HAVE.pattern}|train\.log|config\.yaml|events\.out\.tfevents\..*")


@dataclass(frozen=True)
class Listing:
    """The files that a path means, in order, and the paths that were left out, by the reason."""

    files: list[Path]
    left_out: dict[str, list[Path]]

    def format_left_out(self) -> list[str]:
        """A note that names what was left out, where anything was."""
        parts = [f"{reason} {shorten_names(paths)}" for reason, paths in self.left_out.items() if paths]
        return [f"left out: {'; '.join(parts)}"] if parts else []


def list_folder(folder: Path, what: str, join: str) -> Listing:
    """All files below a folder. `join` as data.join: with `plain` only hidden files are left out."""
    if join == "plain":
        return Listing([file for file in walk_folder(folder, what) if file.is_file()], {})
    found: list[Path] = []
    left_out: dict[str, list[Path]] = {"hidden": [], "backup copies": [], "runs": []}
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if is_run(names):
            if here != folder:
                left_out["runs"].append(here)
                folders.clear()
                continue
            left_out["runs"] += [here / name for name in names if RUNS_HAVE.fullmatch(name)]
            names = [name for name in names if not RUNS_HAVE.fullmatch(name)]
        hidden = [name for name in (*folders, *names) if name.startswith(".")]
        backups = [name for name in names if name not in hidden and BACKUP.fullmatch(name)]
        left_out["hidden"] += [here / name for name in hidden]
        left_out["backup copies"] += [here / name for name in backups]
        folders[:] = [name for name in folders if name not in hidden]
        found += [here / name for name in names if name not in hidden and name not in backups]
        if len(found) > MAX_FILES:
            raise too_many(folder, what)
    return Listing(sorted(filter(Path.is_file, found), key=natural_key), left_out)


def list_matches(pattern: str, what: str, join: str) -> Listing:
    """The files that match a pattern; none for a path that is not a pattern.

    Backup copies are left out, but for a pattern that means them (`*.bak`), and so are the files of runs. BadInput for
    a pattern that searches too much.
    """
    check_breadth(pattern, what)
    files = [file for name in match_pattern(pattern) if (file := Path(name)).is_file()]
    if join == "plain":
        return Listing(files, {})
    fixed = len(find_fixed_part(pattern).parts)
    parents = {parent for file in files for parent in file.parents if len(parent.parts) > fixed}
    runs = {parent for parent in parents if is_run(os.listdir(parent))}
    left_out: dict[str, list[Path]] = {"backup copies": [], "runs": sorted(runs)}
    kept = []
    for file in files:
        if runs.intersection(file.parents):
            continue
        if BACKUP.fullmatch(file.name) and not BACKUP.fullmatch(Path(pattern).name):
            left_out["backup copies"].append(file)
        else:
            kept.append(file)
    return Listing(sorted(kept, key=natural_key), left_out)


def walk_folder(folder: Path, what: str) -> list[Path]:
    """The paths below a folder that are not hidden, sorted; BadInput for more than MAX_FILES."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise too_many(folder, what)
    return found


def match_pattern(pattern: str) -> Iterator[str]:
    """The paths that match a pattern; none for a path that is not a pattern."""
    return glob.iglob(pattern, recursive=True) if glob.has_magic(pattern) else iter(())


def check_breadth(pattern: str, what: str) -> None:
    """BadInput for a pattern that searches the whole file system, or a folder with more than MAX_FILES files."""
    if not glob.has_magic(pattern):
        return
    folder, parts = find_fixed_part(pattern), Path(pattern).parts
    deepest = math.inf if "**" in parts else len(parts) - len(folder.parts)
    if deepest > 1 and folder.resolve().parent == folder.resolve():
        raise BadInput(f"{what}: {pattern} searches the whole file system: begin the pattern with a folder")
    seen, hidden = 0, "/." in pattern
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if hidden or not name.startswith(".")]
        seen += len(folders) + len(names)
        if len(Path(place).parts) - len(folder.parts) + 1 >= deepest:
            folders.clear()
        if seen > MAX_FILES:
            raise too_many(folder, what)


def find_fixed_part(pattern: str) -> Path:
    """The folder in which a pattern begins to match."""
    return Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts[:-1]))


def is_run(names: list[str]) -> bool:
    """Are these the files of the directory of a run or of a sweep?"""
    return any(map(ONLY_RUNS_HAVE.fullmatch, names)) or {"train.log", "config.yaml"} <= set(names)


def natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """For sorting as people count: chapter_2 before chapter_10."""
    parts: list[list[str | int]] = []
    for part in path.parts:
        words: list[str | int] = list(re.split(r"([0-9]+)", part))
        words[1::2] = [int(word) for word in words[1::2]]
        parts.append(words)
    return parts, str(path)


def shorten_names(paths: list[Path]) -> str:
    """The first and the last names, and how many there are between."""
    names = [path.name for path in paths]
    if len(names) <= 2 * SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN])}, ... ({len(names) - 2 * SHOWN:,} more), {', '.join(names[-SHOWN:])}"


def too_many(folder: Path, what: str) -> BadInput:
    return BadInput(f"{what}: {folder} holds more than {MAX_FILES:,} files: choose fewer with a pattern")
