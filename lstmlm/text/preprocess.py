"""The clean-ups that data.preprocess names."""

import re
from collections.abc import Callable

from lstmlm.text.vocab import Text


def clean_text(text: Text, preprocess: str) -> Text:
    """The text after the clean-up of that name; bytes (data.vocab=byte) are never changed."""
    return text if isinstance(text, bytes) else PREPROCESS[preprocess](text)


def clean_d2l_classic(text: str) -> str:
    """d2l 0.x: each line to lower-case letters and spaces, stripped; lines joined without a separator.

    The words at line ends are glued together, as in the book's printed samples.
    """
    return "".join(re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n"))


def clean_d2l(text: str) -> str:
    """d2l 1.0: the whole text to lower-case letters and single spaces."""
    return re.sub("[^A-Za-z]+", " ", text).lower()


def clean_ptb(text: str) -> str:
    """Mikolov's character-level Penn Treebank: there a space only separates the symbols, and `_` is the space."""
    return text.replace(" ", "").replace("_", " ")


PREPROCESS: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "d2l_classic": clean_d2l_classic,
    "d2l": clean_d2l,
    "ptb": clean_ptb,
}
