"""Text in the columns of a terminal: how wide it is, and where its lines are broken."""

import re
import shutil
import unicodedata
from collections.abc import Iterator

NARROWEST = 40  # columns: a narrower terminal is treated as this
WIDEST = 120  # columns: longer lines are hard to read
MARGIN = re.compile(r"[ ]*(?:[a-z-]+:[ ]+)?")  # of a line: the lines that continue it begin below what follows


def measure_width() -> int:
    """The columns of the terminal, or of COLUMNS if that is set; 80 where there is neither."""
    return max(shutil.get_terminal_size((80, 24)).columns, NARROWEST)


def measure_reading_width() -> int:
    """The columns for text to be read: those of the terminal, up to WIDEST."""
    return min(measure_width(), WIDEST)


def count_columns(text: str) -> int:
    """The columns that a text of one line takes on a terminal: two for a wide character, none for a combining mark."""
    return len(text) if text.isascii() else sum(map(count_columns_of_character, text))


def count_columns_of_character(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """The lines of a text, broken at spaces where they exceed `width` columns, each with `indent` before it.

    A word that exceeds a whole line is broken anywhere: so is a script that does not separate words.
    """
    room = width - count_columns(indent)
    return [indent + part for line in text.split("\n") for part in break_line(line, room)]


def break_line(line: str, room: int) -> Iterator[str]:
    """The parts of one line, each of at most `room` columns."""
    while count_columns(line) > room:
        end, used = 0, 0
        while used + (added := count_columns_of_character(line[end])) <= room:
            used, end = used + added, end + 1
        space = line.rfind(" ", 1, end + 1)
        cut = space if space > 0 and line[:space].strip() else max(end, 1)
        yield line[:cut].rstrip(" ")
        line = line[cut:].lstrip(" ")
    yield line


def wrap_message(message: str, width: int) -> str:
    """A message of a log, its long lines broken at spaces alone, so that no path is; they continue indented."""
    return "\n".join(part for line in message.split("\n") for part in break_message_line(line, width))


def break_message_line(line: str, width: int) -> Iterator[str]:
    margin = MARGIN.match(line)
    indent = " " * min(margin.end() if margin else 0, 9)
    while count_columns(line) > width:
        cut = find_last_space(line, width, len(indent))
        if cut is None:
            break
        yield line[:cut].rstrip(" ")
        line = indent + line[cut:].lstrip(" ")
    yield line


def find_last_space(line: str, width: int, start: int) -> int | None:
    """Where to break a line that exceeds `width` columns: at its last space before, or else at the first one after."""
    used, last = 0, None
    for at, char in enumerate(line):
        if char == " " and line[start:at].strip():
            if used > width:
                return at if last is None else last
            last = at
        used += count_columns_of_character(char)
        if used > width and last is not None:
            return last
    return None
