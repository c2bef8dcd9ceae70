"""Words of a command line as a user can type them again, names of any bytes included."""

import shlex
from collections.abc import Iterable

from lstmlm.system.escape import escape_controls


def quote_word(word: str) -> str:
    """As shlex.quote; a word with control characters, or bytes that are not UTF-8, in the form $'caf\\xe9'."""
    escaped = escape_controls(word.replace("\\", "\\\\").replace("'", "\\'")).replace("\n", "\\n").replace("\t", "\\t")
    if escape_controls(word) == word and "\n" not in word:
        return shlex.quote(word)
    return f"$'{escaped}'"


def join_words(words: Iterable[str]) -> str:
    """The words as one line, each quoted."""
    return " ".join(map(quote_word, words))


def break_command(words: Iterable[str], width: int) -> list[str]:
    """The words as lines of at most `width` columns, where no word is longer; a shell reads them as one command."""
    lines: list[str] = []
    for word in map(quote_word, words):
        if lines and len(lines[-1]) + 1 + len(word) <= width - 2:  # room for the " \\" that a line may end with
            lines[-1] += f" {word}"
        else:
            lines.append(f"  {word}" if lines else word)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
