"""Output of text to a terminal, a pipe or a file, and input of lines."""

import contextlib
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from lstmlm.commands.shading import shade_text
from lstmlm.system.errors import LstmlmError, print_error
from lstmlm.system.escape import escape_controls

Piece = tuple[str, float | None]  # text and, if the model wrote it, its surprisal in nats
Say = Callable[..., None]  # say(text) or say(text, surprisal)


def print_note(text: str) -> None:
    """Print a note to stderr, with what would control a terminal escaped."""
    print(escape_controls(f"note: {text}"), file=sys.stderr)


@contextlib.contextmanager
def open_output(file: str | None, as_bytes: bool = False) -> Iterator[TextIO]:
    """The file, truncated, or stdout for None.

    `as_bytes` is for the text of a model of bytes: bytes that are not UTF-8 are written as they are to files and pipes.
    """
    errors = "surrogateescape" if as_bytes else "backslashreplace"
    if file is not None:
        with open(file, "w", encoding="utf-8", errors=errors, newline="") as out:
            yield out
    elif as_bytes and isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        encoding, before = sys.stdout.encoding, sys.stdout.errors
        sys.stdout.reconfigure(encoding="utf-8", errors=errors)
        try:
            yield sys.stdout
        finally:
            sys.stdout.reconfigure(encoding=encoding, errors=before)
    else:
        yield sys.stdout


def make_printer(out: TextIO, color: bool) -> Say:
    """A function that writes text at once. On a terminal it escapes control characters and, if `color`, shades."""
    on_terminal = out.isatty()

    def say(text: str, surprisal: float | None = None) -> None:
        if on_terminal:
            text = shade_text([text], [surprisal]) if color and surprisal is not None else escape_controls(text)
        out.write(text)
        out.flush()

    return say


def read_typed_lines() -> Iterator[str]:
    """Yield the lines of standard input up to its end or /quit."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline as readline  # gives `input` line editing and a history
        with contextlib.suppress(EOFError):
            yield from iter(lambda: input("> "), "/quit")
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a byte that is not UTF-8: a character that no vocabulary has
    yield from itertools.takewhile(lambda line: line != "/quit", (line.removesuffix("\n") for line in sys.stdin))


def converse(turns: Iterable[Iterable[Piece]], say: Say) -> None:
    """Write each turn and a line end. The error of a turn is printed, and the next turn follows."""
    for turn in turns:
        try:
            for piece in turn:
                say(*piece)
            say("\n")
        except LstmlmError as error:
            print_error(error)
