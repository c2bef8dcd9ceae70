"""Plots with matplotlib, which the extra [plots] installs, and fonts for the characters in them."""

import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lstmlm.system.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = re.compile(r"Glyph (\d+) ")  # in matplotlib's warnings
NO_FONT = "LastResort"  # a font with a box for every character


def import_pyplot() -> ModuleType:
    """matplotlib.pyplot, set to draw to files. BadInput if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BadInput("--png: drawing needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def open_figure(what: str, **options: Any) -> "Figure":
    """A figure of pyplot, in the backend that the user has: a notebook shows it. `options` as `pyplot.figure`.

    BadInput, naming `what` needs it, if matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise BadInput(f"{what}: drawing needs matplotlib: pip install matplotlib") from None
    return plt.figure(layout="constrained", **options)


def find_fonts(text: str, first: str) -> list[str]:
    """`first`, and installed fonts that have the characters of the text that it lacks, as far as there are any."""
    from matplotlib import font_manager

    missing = {ord(char) for char in text} - read_characters(font_manager.findfont(first))
    families = [first]
    for font in font_manager.fontManager.ttflist if missing else []:
        if NO_FONT not in Path(font.fname).name and (found := missing & read_characters(font.fname)):
            families.append(font.name)
            missing -= found
            if not missing:
                break
    return families


def read_characters(path: str) -> set[int]:
    """The code points that a font file has glyphs for."""
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(path).get_charmap())


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure to a PNG; a note on stderr names the characters that no installed font has."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(path, dpi=110, format="png")
    found = [MISSING.match(str(warning.message)) for warning in caught]
    codes = sorted({int(match[1]) for match in found if match})
    if codes:
        shown = ", ".join(chr(code) if chr(code).isprintable() else f"U+{code:04X}" for code in codes[:10])
        more = f" and {len(codes) - 10} more" if len(codes) > 10 else ""
        print(
            f"note: {path}: no installed font has {shown}{more}: boxes stand for them; install a font that has them, "
            f"such as Noto Sans CJK for Chinese, Japanese and Korean",
            file=sys.stderr,
        )
