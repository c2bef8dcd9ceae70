"""From the bytes of files to text as a reader sees it."""

import codecs
import io
import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lstmlm.system.errors import BadInput
from lstmlm.text.files import read_pieces


class Decoder:
    """Files to text: decoded, byte-order marks dropped, every line end as a line feed, and NFC if that is wanted.

    `found` counts what was changed or noticed on the way. BadInput names the file and the byte that is not text.
    """

    def __init__(self, encoding: str, normalize: str) -> None:
        self.encoding, self.normalize, self.found = find_encoding(encoding), normalize, Counter()

    def pieces(self, files: Iterable[Path]) -> Iterator[str]:
        for path in files:
            yield from self.text(path, read_pieces(path))

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
                cut = len(whole) if ended else find_last_boundary(whole)
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


def find_last_boundary(text: str) -> int:
    """The last place at which a text can be cut so that its halves normalize by themselves (0 if there is none).

    Before a Latin letter, a Chinese character or a Korean syllable: none of them joins what stands before it.
    """
    for at in range(len(text) - 1, 0, -1):
        if text[at] < "\u0300" or "\u4e00" <= text[at] <= "\u9fff" or "\uac00" <= text[at] <= "\ud7a3":
            return at
    return 0


def find_encoding(name: str) -> str:
    """The name of an encoding of text, as Python spells it; BadInput if there is none of that name."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not found._is_text_encoding:
        raise BadInput(f"data.encoding: no encoding is called {name!a}: utf-8, latin-1, cp1252, utf-16 are some")
    return found.name
