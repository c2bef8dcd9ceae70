"""Where the text comes from, how it is cleaned and split, and by which hashes it is known."""

import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from lstmlm.errors import BadInput
from lstmlm.machine import memory
from lstmlm.shipped import cache, shipped

Range = tuple[int, int]  # characters [start, end)
SPLITS = ("train", "val", "test")
IN_MEMORY = 20  # bytes at the peak, measured, for each of the file: it is held whole, as text and as ids


@dataclass(frozen=True)
class Corpus:
    """A text after its clean-up, and the file that it came from."""

    name: str
    path: Path
    sha256: str  # of the bytes of the file
    text: str
    notes: tuple[str, ...] = ()  # what reading changed or noticed, for the log


@dataclass(frozen=True)
class Split:
    """Three parts of a text that share no character."""

    name: str  # as the user gave it
    ranges: dict[str, Range]
    hashes: dict[str, str]  # SHA-256 of each part in UTF-8

    def part(self, text: str, which: str) -> str:
        start, end = self.ranges[which]
        return text[start:end]


def sha256(data: bytes | str) -> str:
    return hashlib.sha256(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).hexdigest()


# The text


def locate(name: str, path: str | None) -> Path:
    """The file of a corpus: `path` where one is given, else the embedded text or data/cache/."""
    if name == "tide_clock":
        if path is not None:
            raise BadInput(f"data.path: has no effect with data=tide_clock: add data=file to train on {path!r}")
        return shipped("data") / "tide_clock.txt"
    if path is not None:
        return Path(path)
    if name == "file":
        raise BadInput("data.path: data=file needs a text: add data.path=my.txt")
    cached = cache() / f"{name}.txt"
    if not cached.is_file():
        raise BadInput(f"data={name}: no text at {cached}: put the file there, or give data.path=FILE")
    return cached


def read_corpus(name: str, path: str | None, preprocess: str) -> Corpus:
    """The text of `locate(name, path)`, checked and cleaned."""
    where = locate(name, path)
    data = read_file(where, "data.path")
    raw, notes = decode(data, where)
    text = PREPROCESS[preprocess](raw)
    if not text.strip():
        left = "is empty" if not raw.strip() else f"has nothing left after data.preprocess={preprocess}"
        raise BadInput(f"data.path: {where} {left}: give a text file")
    if len(set(text)) < 2:
        raise BadInput(f"data.path: {where} has 1 distinct character: there is nothing to learn")
    return Corpus(name, where.resolve(), sha256(data), text, notes)


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a regular file; a folder, a pipe or a device is refused, not waited for; so is too long a text."""
    if path.is_dir():
        raise BadInput(f"{what}: {path} is a folder: give a text file")
    if not path.exists():
        raise BadInput(f"{what}: no such file: {path}")
    if not path.is_file():
        raise BadInput(f"{what}: not a regular file: {path}")
    if (needed := IN_MEMORY * path.stat().st_size) > (there := memory()):
        raise BadInput(
            f"{what}: {path} needs {needed / 1e9:,.1f} GB, {IN_MEMORY} times its size, this machine has "
            f"{there / 1e9:,.1f} GB: give a part of it"
        )
    return path.read_bytes()


def decode(data: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """UTF-8 to text, a byte-order mark dropped; the rest, line ends too, is kept as it is."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise BadInput(
            f"data.path: {path} is not UTF-8 at byte {error.start} (0x{byte:02X}): convert it, "
            f"for example with: iconv -f latin1 -t utf-8"
        ) from None
    notes = []
    if text.startswith("\ufeff"):
        text = text[1:]
        notes.append("dropped the byte-order mark at the start")
    controls = sum(ord(char) < 32 and char not in "\t\n\r\f" for char in set(text))
    if controls:
        count = sum(text.count(chr(code)) for code in range(32) if chr(code) not in "\t\n\r\f")
        notes.append(f"warning: {count} control characters are kept: is this a text file?")
    return text, tuple(notes)


# The clean-up


def d2l_classic(text: str) -> str:
    """d2l 0.x: each line to lower-case letters and spaces, stripped; lines joined with nothing.

    The words at line ends are glued together, as in the book's printed samples.
    """
    return "".join(re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n"))


def d2l(text: str) -> str:
    """d2l 1.0: the whole text to lower-case letters and single spaces."""
    return re.sub("[^A-Za-z]+", " ", text).lower()


PREPROCESS = {"raw": str, "d2l_classic": d2l_classic, "d2l": d2l}


# The split


def split_text(text: str, spec: list, max_tokens: int | None = None) -> Split:
    """Train, validation and test parts of a text.

    `spec` is fractions ([0.9, 0.05, 0.05]; a rest is left out) or ranges of characters
    ([[0, 10000], [10000, 20000], [20000, 30000]]). `max_tokens` cuts the training part only.
    Raises BadInput where parts overlap, leave the text, or are too short to use.
    """
    if not isinstance(spec, (list, tuple)) or len(spec) != len(SPLITS):
        raise BadInput(f"data.split: {spec!r}: give fractions like [0.9,0.05,0.05], or three ranges of characters")
    if all(_is_number(part) for part in spec):
        ranges = _ranges_of_fractions(len(text), spec)
        name = "/".join(f"{part:g}" for part in spec)
    elif all(_is_range(part) for part in spec):
        ranges = dict(zip(SPLITS, ((part[0], part[1]) for part in spec), strict=True))
        name = "/".join(f"{start}-{end}" for start, end in ranges.values())
    else:
        raise BadInput(f"data.split: {spec!r}: give fractions like [0.9,0.05,0.05], or three ranges of characters")

    for which, (start, end) in ranges.items():
        if not 0 <= start <= end <= len(text):
            raise BadInput(f"data.split: {which} {start}-{end} does not lie in the text of {len(text)} characters")
    parts = sorted((start, end) for start, end in ranges.values() if start < end)
    for (_, end), (start, stop) in itertools.pairwise(parts):
        if start < end:
            raise BadInput(f"data.split: two parts overlap at characters {start}-{min(end, stop)}")
    if max_tokens is not None:
        start, end = ranges["train"]
        ranges["train"] = (start, min(end, start + max_tokens))
        name += f", max_tokens {max_tokens}"
    for which in ("train", "val"):
        start, end = ranges[which]
        if end - start < 2:
            raise BadInput(
                f"data.split: the {which} part has {end - start} characters of {len(text)}: "
                f"it needs at least 2: give a longer text or another data.split"
            )
    hashes = {which: sha256(text[start:end]) for which, (start, end) in ranges.items()}
    return Split(name, ranges, hashes)


def _is_number(part) -> bool:
    return isinstance(part, (int, float)) and not isinstance(part, bool)


def _is_range(part) -> bool:
    return isinstance(part, (list, tuple)) and len(part) == 2 and all(type(end) is int for end in part)


def _ranges_of_fractions(length: int, fractions: list) -> dict[str, Range]:
    if not all(0 <= part <= 1 for part in fractions) or sum(fractions) > 1 + 1e-9:
        raise BadInput(f"data.split: {list(fractions)}: fractions lie in 0..1 and sum to at most 1")
    ranges, start, total = {}, 0, 0.0
    for which, fraction in zip(SPLITS, fractions, strict=True):
        total += fraction
        end = length if total > 1 - 1e-9 else int(length * total)
        ranges[which] = (start, end)
        start = end
    return ranges
