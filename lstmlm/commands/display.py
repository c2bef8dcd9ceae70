"""How a text gets to its reader, on a terminal, in a pipe or in a file, and how lines come back."""

import contextlib
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from lstmlm.commands.shading import shade_text
from lstmlm.system.errors import LstmlmError, print_error
from lstmlm.system.escape import escape_controls

Piece = tuple[str, float | None]  # text and, where the model wrote it, its surprisal
Say = Callable[..., None]  # say(text) or say(text, surprisal)


def print_note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


@contextlib.contextmanager
def open_output(file: str | None, as_bytes: bool = False) -> Iterator[TextIO]:
    """The file, emptied, or standard output for None.

    `as_bytes` is for the text of a model of bytes: what is not UTF-8 goes into a file or a pipe as the byte that it is.
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
    """Writes at once. A terminal gets nothing that would drive it, and the shades of the surprisals if `color`."""
    on_terminal = out.isatty()

    def say(text: str, surprisal: float | None = None) -> None:
        if on_terminal:
            text = shade_text([text], [surprisal]) if color and surprisal is not None else escape_controls(text)
        out.write(text)
        out.flush()

    return say


def read_typed_lines() -> Iterator[str]:
    """The lines of standard input, up to its end or /quit."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline as readline  # `input` then edits and remembers lines
        with contextlib.suppress(EOFError):
            yield from iter(lambda: input("> "), "/quit")
        return
    sys.stdin.reconfigure(errors="surrogateescape")  # a byte that is not UTF-8: a character that no vocabulary has
    yield from itertools.takewhile(lambda line: line != "/quit", (line.removesuffix("\n") for line in sys.stdin))


def converse(turns: Iterable[Iterable[Piece]], say: Say) -> None:
    """Each turn and a line end; a mistake is told, and the next turn comes."""
    for turn in turns:
        try:
            for piece in turn:
                say(*piece)
            say("\n")
        except LstmlmError as error:
            print_error(error)
