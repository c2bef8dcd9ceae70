"""Which files a corpus is made of, and what is in them: bytes, or text as a reader sees it, in bounded pieces."""

import glob
import gzip
import hashlib
import itertools
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from lstmlm.system.errors import BadInput

PIECE = 1 << 20  # bytes read at a time
WORTH_A_BAR = 256 << 20  # bytes: about a second
MAX_FILES = 100_000


def list_files(path: str | Path, what: str) -> list[Path]:
    """The files that a path means: a file, all files below a folder, or those of a pattern; in sorted order.

    Hidden files of a folder are left out. A pipe or a device is refused, not waited for. `what` names the setting.
    """
    path = Path(path)
    if path.is_dir():
        files = [file for file in walk_folder(path) if file.is_file()]
        if not files:
            raise BadInput(f"{what}: the folder {path} holds no files: give a text file")
    elif path.exists():
        files = [path]
    elif files := [Path(name) for name in match_pattern(str(path))]:
        files = [file for file in files if file.is_file()]
    if not files:
        raise BadInput(f"{what}: no such file: {path}")
    if odd := [file for file in files if not file.is_file()]:
        raise BadInput(f"{what}: not a regular file: {odd[0]}")
    return sorted(files)


def walk_folder(folder: Path) -> list[Path]:
    """The paths below a folder that are not hidden, MAX_FILES at most."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise BadInput(f"data.path: {folder} holds more than {MAX_FILES:,} files: choose some with a pattern")
    return found


def match_pattern(pattern: str) -> list[str]:
    return list(itertools.islice(glob.iglob(pattern, recursive=True), MAX_FILES)) if glob.has_magic(pattern) else []


def read_pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked where its name ends in .gz."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            while data := file.read(PIECE):
                yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"data.path: {path} is not a whole gzip file: {error}") from None


def hash_files(files: Iterable[Path]) -> tuple[str, int]:
    """(SHA-256, length) of the bytes of the files, one after the other."""
    files = list(files)
    whole, length, on_disk = hashlib.sha256(), 0, sum(file.stat().st_size for file in files)
    hidden = None if on_disk > WORTH_A_BAR else True  # None: where there is no terminal
    with tqdm(desc="looking at the text", total=on_disk, unit="B", unit_scale=True, disable=hidden) as bar:
        for data in itertools.chain.from_iterable(map(read_pieces, files)):
            whole.update(data)
            length += len(data)
            bar.update(len(data))
    return whole.hexdigest(), length
