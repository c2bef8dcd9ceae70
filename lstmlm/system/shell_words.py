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
