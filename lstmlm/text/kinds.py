"""What the first bytes of a file say that it is, where it is no text."""

import re

HEAD = 4096  # bytes that are looked at

# (what a file begins with, what it is, what makes it a text)
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF", "extract its text first, as with pdftotext"),
    (b"{\\rtf", "an RTF document", "save it as plain text first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "save it as plain text first"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"PK\x05\x06", "a zip archive", "unpack it first"),
    (b"\x1f\x8b", "a gzip file", "give it a name that ends in .gz, or unpack it"),
    (b"BZh", "a bzip2 file", "unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it first"),
    (b"\x89PNG\r\n", "a PNG image", "leave it out"),
    (b"\xff\xd8\xff", "a JPEG image", "leave it out"),
    (b"GIF8", "a GIF image", "leave it out"),
    (b"\x7fELF", "a program", "leave it out"),
    (b"SQLite format 3\x00", "an SQLite database", "export its text first"),
)
# What a zip archive is, by a name in its first entries
IN_ZIP = (
    (b"word/", "a Word document", "save it as plain text first"),
    (b"mimetypeapplication/vnd.oasis", "an OpenDocument file", "save it as plain text first"),
    (b"mimetypeapplication/epub", "an e-book (EPUB)", "convert it to plain text first"),
    (b"ppt/", "a PowerPoint file", "save it as plain text first"),
    (b"xl/", "an Excel file", "save it as plain text first"),
    (b"[Content_Types].xml", "an Office document", "save it as plain text first"),
)
NO_BZIP2 = re.compile(rb"BZh(?![1-9]1AY&SY)")  # a text that begins with these letters


def name_kind(head: bytes) -> tuple[str, str] | None:
    """(what a file is, what makes it a text) by its first bytes; None where they say nothing."""
    for magic, kind, remedy in MAGIC:
        if head.startswith(magic) and not NO_BZIP2.match(head):
            if kind == "a zip archive":
                return next(((name, todo) for mark, name, todo in IN_ZIP if mark in head), (kind, remedy))
            return kind, remedy
    return None
