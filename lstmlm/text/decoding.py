"""From the bytes of files to text as a reader sees it."""

import codecs
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from lstmlm.system.errors import BadInput
from lstmlm.text.files import read_pieces
from lstmlm.text.remedy import suggest_encoding

# Encodings of Python that no text file has; the first three cannot decode one piece after another
NOT_OF_FILES = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}


class Decoder:
    """Decodes files: byte-order marks are dropped, every line end becomes a line feed, and NFC is applied if asked for.

    `changes` counts what was changed or noticed. `what` is the setting or option by which the user named a file;
    BadInput names it, the file and the first byte that cannot be decoded.
    """

    def __init__(self, encoding: str, normalize: str) -> None:
        self.encoding, self.normalize = find_encoding(encoding), normalize
        self.changes: Counter[str] = Counter()

    def decode_files(self, files: Iterable[Path], what: str, begin_lines: bool) -> Iterator[str]:
        """Yield the text of the files, one after the other, in pieces of bounded size.

        `begin_lines` puts a line end between two files where the first does not end with one.
        """
        last = ""
        for path in files:
            begun = False
            for text in self.decode(read_pieces(path, what), path, what):
                if begin_lines and not begun and last not in ("", "\n"):
                    self.changes["line ends"] += 1
                    yield "\n"
                begun, last = True, text[-1]
                yield text

    def decode(self, pieces: Iterable[bytes], name: Path | str, what: str) -> Iterator[str]:
        """Yield the text, in pieces that are not empty, of the bytes of one file, whose name is for messages."""
        for text in self._unify_line_ends(self._decode_bytes(pieces, name, what)):
            if self.normalize == "none" and not unicodedata.is_normalized("NFC", text):
                self.changes["decomposed"] += 1
            yield text

    def _decode_bytes(self, pieces: Iterable[bytes], name: Path | str, what: str) -> Iterator[str]:
        decoder, offset = codecs.getincrementaldecoder(self.encoding)(), 0
        for data in chain(pieces, [b""]):
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                at, rest = offset - held + error.start, error.object[error.start :]
                message = f"{what}: {name} is not {self.encoding.upper()} at byte {at} (0x{rest[0]:02X})"
                if error.reason == "unexpected end of data":
                    raise BadInput(f"{message}: it ends inside a character: was it cut short?") from None
                remedy = suggest_encoding(what, name, error.object, self.encoding, error.start)
                raise BadInput(f"{message}: {remedy}") from None
            if offset == 0 and text.startswith("\ufeff"):
                self.changes["marks"], text = self.changes["marks"] + 1, text[1:]
            offset += len(data)
            yield text

    def _unify_line_ends(self, texts: Iterable[str]) -> Iterator[str]:
        """CR and CRLF become LF. With NFC, characters that may join those that follow wait for them."""
        lines, held = io.IncrementalNewlineDecoder(None, translate=True), ""
        for text, ended in chain(((text, False) for text in texts), [("", True)]):
            self.changes["carriage returns"] += text.count("\r")
            text = lines.decode(text, final=ended)
            if self.normalize == "nfc":
                whole = held + text
                cut = len(whole) if ended else find_last_boundary(whole)
                text, held = unicodedata.normalize("NFC", whole[:cut]), whole[cut:]
            if text:
                yield text

    def list_changes(self) -> list[str]:
        """A line for the log about each kind of change."""
        changes, lines = self.changes, []
        if changes["marks"]:
            lines.append("dropped the byte-order mark at the start")
        if changes["carriage returns"]:
            lines.append(f"read {changes['carriage returns']:,} line ends with a carriage return as line feeds")
        if changes["line ends"]:
            lines.append(f"put a line end after {changes['line ends']:,} files that have none at their end")
        if changes["decomposed"]:
            lines.append("some letters are written as a letter and a mark: data.normalize=nfc would join them")
        return lines


def unify_text(text: str, normalize: str) -> str:
    """A text that was typed or given by a program, with the line ends and the NFC that a file would get."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text) if normalize == "nfc" else text


def find_last_boundary(text: str) -> int:
    """The last place at which a text can be cut so that both parts normalize independently (0 if there is none).

    That is before a Latin letter, a Chinese character or a Korean syllable: they do not join the character before them.
    """
    for at in range(len(text) - 1, 0, -1):
        if text[at] < "\u0300" or "\u4e00" <= text[at] <= "\u9fff" or "\uac00" <= text[at] <= "\ud7a3":
            return at
    return 0


def find_encoding(name: str) -> str:
    """The name of a text encoding, as Python spells it; BadInput for an unknown name."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not found._is_text_encoding or found.name in NOT_OF_FILES:
        raise BadInput(
            f"data.encoding: no encoding is called {name!a}: known are, for example, utf-8, latin-1, cp1252 and utf-16"
        )
    return found.name
