"""The files of a corpus, and their bytes in pieces of bounded size.

`what` is the setting or option by which the user named a file: the messages begin with it.
"""

import contextlib
import gzip
import hashlib
import itertools
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lstmlm.system.errors import BadInput
from lstmlm.text.folder import Listing, list_folder, list_matches
from lstmlm.text.kinds import HEAD

PIECE = 1 << 20  # bytes read at a time
WORTH_A_BAR = 256 << 20  # bytes: about a second


def list_files(path: str | Path, what: str, join: str = "lines") -> Listing:
    """The files that a path names: a file, all files below a folder, or those that match a pattern; in order.

    `join` as data.join. BadInput where there is no file, and for a pipe or a device.
    """
    path = Path(path)
    if path.is_dir():
        listing = list_folder(path, what, join)
        if not listing.files:
            raise BadInput(f"{what}: the folder {path} holds no files: give a text file")
    elif path.exists():
        listing = Listing([path], {})
    else:
        listing = list_matches(str(path), what, join)
    if not listing.files:
        raise BadInput(f"{what}: no such file: {path}")
    if odd := [file for file in listing.files if not file.is_file()]:
        raise BadInput(f"{what}: not a regular file: {odd[0]}")
    return replace(listing, files=sorted(listing.files)) if join == "plain" else listing


def read_pieces(path: Path, what: str, size: int = PIECE) -> Generator[bytes, None, None]:
    """Yield the bytes of a file, `size` at a time, decompressed where its name ends in .gz.

    BadInput for a damaged gzip file.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            while data := file.read(size):
                yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{what}: {path} is not a whole gzip file: {error}") from None


def read_head(path: Path, what: str) -> bytes:
    """The first bytes of a file, decompressed as by `read_pieces`."""
    with contextlib.closing(read_pieces(path, what, HEAD)) as pieces:
        return next(pieces, b"")


def read_files(paths: Iterable[Path], what: str) -> Iterator[bytes]:
    """Yield the bytes of the files, one after the other."""
    for path in paths:
        yield from read_pieces(path, what)


def hash_files(files: Mapping[str, Sequence[Path]]) -> tuple[str, dict[str, list[int]]]:
    """The SHA-256 of the bytes of all files, one after the other, and the length of each file.

    `files` and the lengths are by the setting that names them.
    """
    from lstmlm.system.bar import Bar  # tqdm, which takes a while to import, and which nothing else here needs

    on_disk = sum(path.stat().st_size for path in itertools.chain(*files.values()))
    whole, lengths = hashlib.sha256(), {what: [0] * len(paths) for what, paths in files.items()}
    hidden = None if on_disk > WORTH_A_BAR else True  # None: hidden only where there is no terminal
    with Bar(desc="looking at the text", total=on_disk, unit="B", unit_scale=True, disable=hidden) as bar:
        for what, paths in files.items():
            for k, path in enumerate(paths):
                for data in read_pieces(path, what):
                    whole.update(data)
                    lengths[what][k] += len(data)
                    bar.update(len(data))
    return whole.hexdigest(), lengths


def find_copies(files: Sequence[Path], lengths: Sequence[int], what: str) -> list[tuple[Path, Path]]:
    """(file, copy) for each file that has the bytes of one before it."""
    by_length: dict[int, list[Path]] = {}
    for path, length in zip(files, lengths, strict=True):
        by_length.setdefault(length, []).append(path)
    copies, first = [], dict[bytes, Path]()
    for length, paths in by_length.items():
        for path in paths if length > 0 and len(paths) > 1 else ():
            digest = hashlib.sha256(b"".join(read_pieces(path, what))).digest()
            if digest in first:
                copies.append((first[digest], path))
            first.setdefault(digest, path)
    return copies
