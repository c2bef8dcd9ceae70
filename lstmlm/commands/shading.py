"""Background colours for characters by their surprisal."""

import itertools
from collections.abc import Iterable

from lstmlm.system.escape import escape_controls

# Colours of the 256-colour palette, pale to red, for surprisals below 1 nat, below 2, ..., and of 5 and more
SHADES = (None, 230, 223, 216, 209, 203)


def shade_text(chars: Iterable[str], surprisals: Iterable[float]) -> str:
    """The characters, each on the background of its surprisal (nats). Controls are escaped, line ends not shaded."""
    shades = (choose_shade(*pair) for pair in zip(chars, surprisals, strict=True))
    text = ""
    for background, run in itertools.groupby(shades, key=lambda pair: pair[0]):
        plain = escape_controls("".join(char for _, char in run))
        text += plain if background is None else f"\x1b[30;48;5;{background}m{plain}\x1b[0m"
    return text


def choose_shade(char: str, surprisal: float) -> tuple[int | None, str]:
    """The colour of a character, None for no colour, and the character."""
    level = min(max(int(surprisal), 0), len(SHADES) - 1)
    return (None if char == "\n" else SHADES[level]), char
