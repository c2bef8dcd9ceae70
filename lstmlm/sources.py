"""Which files a corpus is made of, and what is in them: bytes, or text as a reader sees it, in bounded pieces."""

import codecs
import glob
import gzip
import hashlib
import io
import itertools
import os
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from lstmlm.errors import BadInput

PIECE = 1 << 20  # bytes read at a time
WORTH_A_BAR = 256 << 20  # bytes: about a second
MAX_FILES = 100_000


def files_of(path: str | Path, what: str) -> list[Path]:
    """The files that a path means: a file, all files below a folder, or those of a pattern; in sorted order.

    Hidden files of a folder are left out. A pipe or a device is refused, not waited for. `what` names the setting.
    """
    path = Path(path)
    if path.is_dir():
        files = [file for file in below(path) if file.is_file()]
        if not files:
            raise BadInput(f"{what}: the folder {path} holds no files: give a text file")
    elif path.exists():
        files = [path]
    elif files := [Path(name) for name in matches(str(path))]:
        files = [file for file in files if file.is_file()]
    if not files:
        raise BadInput(f"{what}: no such file: {path}")
    if odd := [file for file in files if not file.is_file()]:
        raise BadInput(f"{what}: not a regular file: {odd[0]}")
    return sorted(files)


def below(folder: Path) -> list[Path]:
    """The paths below a folder that are not hidden, MAX_FILES at most."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise BadInput(f"data.path: {folder} holds more than {MAX_FILES:,} files: choose some with a pattern")
    return found


def matches(pattern: str) -> list[str]:
    return list(itertools.islice(glob.iglob(pattern, recursive=True), MAX_FILES)) if glob.has_magic(pattern) else []


def raw_pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked where its name ends in .gz."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            while data := file.read(PIECE):
                yield data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"data.path: {path} is not a whole gzip file: {error}") from None


def fingerprint(files: Iterable[Path]) -> tuple[str, int]:
    """(SHA-256, length) of the bytes of the files, one after the other."""
    files = list(files)
    whole, length, on_disk = hashlib.sha256(), 0, sum(file.stat().st_size for file in files)
    hidden = None if on_disk > WORTH_A_BAR else True  # None: where there is no terminal
    with tqdm(desc="looking at the text", total=on_disk, unit="B", unit_scale=True, disable=hidden) as bar:
        for data in itertools.chain.from_iterable(map(raw_pieces, files)):
            whole.update(data)
            length += len(data)
            bar.update(len(data))
    return whole.hexdigest(), length


class Decoder:
    """Files to text: decoded, byte-order marks dropped, every line end as a line feed, and NFC if that is wanted.

    `found` counts what was changed or noticed on the way. BadInput names the file and the byte that is not text.
    """

    def __init__(self, encoding: str, normalize: str) -> None:
        self.encoding, self.normalize, self.found = text_encoding(encoding), normalize, Counter()

    def pieces(self, files: Iterable[Path]) -> Iterator[str]:
        for path in files:
            yield from self.text(path, raw_pieces(path))

    def text(self, where: Path | str, data: Iterable[bytes]) -> Iterator[str]:
        """The text of the bytes of one file."""
        for text in self.line_feeds(self.decoded(where, data)):
            if self.normalize == "none" and not unicodedata.is_normalized("NFC", text):
                self.found["decomposed"] += 1
            yield text

    def decoded(self, where: Path | str, pieces: Iterable[bytes]) -> Iterator[str]:
        decoder, offset = codecs.getincrementaldecoder(self.encoding)(), 0
        for data in itertools.chain(pieces, [b""]):
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise self.undecodable(where, offset - held + error.start, error.object[error.start :]) from None
            if offset == 0 and text.startswith("\ufeff"):
                self.found["marks"], text = self.found["marks"] + 1, text[1:]
            offset += len(data)
            yield text

    def undecodable(self, where: Path | str, offset: int, rest: bytes) -> BadInput:
        guess = "utf-16" if offset == 0 and rest[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"
        return BadInput(
            f"data.path: {where} is not {self.encoding.upper()} at byte {offset} (0x{rest[0]:02X}): name its encoding, "
            f"as in data.encoding={guess}, or take its bytes as they are with data.vocab=byte"
        )

    def line_feeds(self, texts: Iterable[str]) -> Iterator[str]:
        """CR and CRLF as LF; what NFC may still join to what follows is held back."""
        lines, held = io.IncrementalNewlineDecoder(None, translate=True), ""
        for text in itertools.chain(texts, [None]):
            ended, text = text is None, text or ""
            self.found["carriage returns"] += text.count("\r")
            text = lines.decode(text, final=ended)
            if self.normalize == "nfc":
                whole = held + text
                cut = len(whole) if ended else last_boundary(whole)
                text, held = unicodedata.normalize("NFC", whole[:cut]), whole[cut:]
            if text:
                yield text

    def notes(self) -> list[str]:
        """What was found, for the log."""
        found, lines = self.found, []
        if found["marks"]:
            lines.append("dropped the byte-order mark at the start")
        if found["carriage returns"]:
            lines.append(f"read {found['carriage returns']:,} line ends with a carriage return as line feeds")
        if found["decomposed"]:
            lines.append("some letters are written as a letter and a mark: data.normalize=nfc would join them")
        return lines


def last_boundary(text: str) -> int:
    """The last place at which a text can be cut so that its halves normalize by themselves (0 if there is none).

    Before a Latin letter, a Chinese character or a Korean syllable: none of them joins what stands before it.
    """
    for at in range(len(text) - 1, 0, -1):
        if text[at] < "\u0300" or "\u4e00" <= text[at] <= "\u9fff" or "\uac00" <= text[at] <= "\ud7a3":
            return at
    return 0


def text_encoding(name: str) -> str:
    """The name of an encoding of text, as Python spells it; BadInput if there is none of that name."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not found._is_text_encoding:
        raise BadInput(f"data.encoding: no encoding is called {name!a}: utf-8, latin-1, cp1252, utf-16 are some")
    return found.name
