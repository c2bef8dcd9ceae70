"""Words of a command line as a user can type them again, names of any bytes included."""

import shlex
from collections.abc import Iterable

from lstmlm.system.escape import escape_controls, is_control


def quote_word(word: str) -> str:
    """As shlex.quote; a word with control characters, or bytes that are not UTF-8, in the form $'caf\\xe9'."""
    if escape_controls(word) == word and "\n" not in word:
        return shlex.quote(word)
    return f"$'{''.join(map(escape_for_shell, word))}'"


def escape_for_shell(char: str) -> str:
    """A character as it stands between $' and ' in bash and zsh."""
    code = ord(char)
    if char in "\\'":
        return "\\" + char
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if char not in "\n\t" and not is_control(char):
        return char
    return f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}"


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
