"""The files of a corpus, and their bytes in pieces of bounded size.

`what` is the setting or option by which the user named a file: the messages begin with it.
"""

import glob
import gzip
import hashlib
import itertools
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from lstmlm.system.errors import BadInput

PIECE = 1 << 20  # bytes read at a time
WORTH_A_BAR = 256 << 20  # bytes: about a second
MAX_FILES = 100_000


def list_files(path: str | Path, what: str) -> list[Path]:
    """The files that a path names: a file, all files below a folder, or those that match a pattern; sorted.

    Hidden files of a folder are left out. BadInput where there is no file, and for a pipe or a device.
    """
    path, files = Path(path), []
    if path.is_dir():
        files = [file for file in walk_folder(path, what) if file.is_file()]
        if not files:
            raise BadInput(f"{what}: the folder {path} holds no files: give a text file")
    elif path.exists():
        files = [path]
    else:
        files = [file for name in match_pattern(str(path)) if (file := Path(name)).is_file()]
    if not files:
        raise BadInput(f"{what}: no such file: {path}")
    if odd := [file for file in files if not file.is_file()]:
        raise BadInput(f"{what}: not a regular file: {odd[0]}")
    return sorted(files)


def walk_folder(folder: Path, what: str) -> list[Path]:
    """The paths below a folder that are not hidden; BadInput for more than MAX_FILES."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise BadInput(f"{what}: {folder} holds more than {MAX_FILES:,} files: choose fewer with a pattern")
    return found


def match_pattern(pattern: str) -> list[str]:
    """The paths that match a pattern, MAX_FILES at most; none for a path that is not a pattern."""
    return list(itertools.islice(glob.iglob(pattern, recursive=True), MAX_FILES)) if glob.has_magic(pattern) else []


def read_pieces(path: Path, what: str) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed where its name ends in .gz. BadInput for a damaged gzip file."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            while data := file.read(PIECE):
                yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{what}: {path} is not a whole gzip file: {error}") from None


def read_files(paths: Iterable[Path], what: str) -> Iterator[bytes]:
    """Yield the bytes of the files, one after the other."""
    for path in paths:
        yield from read_pieces(path, what)


def hash_files(files: Mapping[str, Sequence[Path]]) -> tuple[str, int]:
    """(SHA-256, length) of the bytes of the files, one after the other; `files` by the setting that names them."""
    on_disk = sum(path.stat().st_size for path in itertools.chain(*files.values()))
    whole, length = hashlib.sha256(), 0
    hidden = None if on_disk > WORTH_A_BAR else True  # None: hidden only where there is no terminal
    with tqdm(desc="looking at the text", total=on_disk, unit="B", unit_scale=True, disable=hidden) as bar:
        for what, paths in files.items():
            for data in read_files(paths, what):
                whole.update(data)
                length += len(data)
                bar.update(len(data))
    return whole.hexdigest(), length
