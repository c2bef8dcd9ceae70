"""The clean-ups that data.preprocess names."""

import re


def d2l_classic(text: str) -> str:
    """d2l 0.x: each line to lower-case letters and spaces, stripped; lines joined with nothing.

    The words at line ends are glued together, as in the book's printed samples.
    """
    return "".join(re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n"))


def d2l(text: str) -> str:
    """d2l 1.0: the whole text to lower-case letters and single spaces."""
    return re.sub("[^A-Za-z]+", " ", text).lower()


def ptb(text: str) -> str:
    """Mikolov's Penn Treebank by characters: there a space only divides the symbols, and `_` is the space."""
    return text.replace(" ", "").replace("_", " ")


PREPROCESS = {"raw": lambda text: text, "d2l_classic": d2l_classic, "d2l": d2l, "ptb": ptb}
