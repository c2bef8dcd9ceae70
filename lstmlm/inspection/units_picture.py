"""The text in the colours of a few units, as a PNG: a panel for each, red where it is high, blue where it is low.

P = characters of the picture.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstmlm.inspection.exploration import Exploration
from lstmlm.inspection.explore_page import decode_each
from lstmlm.system.plotting import find_fonts, import_pyplot, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"C": "cell", "H": "hidden state"}
UNITS = 3
LINES = 5
WIDTH = 76  # characters of a line at most
SEARCHED = 20_000  # characters, in which the lines are looked for
CELL = (0.105, 0.2)  # inches of a character
REACH = 1.8  # standard deviations from the mean, which have the darkest colours

Line = list[tuple[int, str]]  # (place in the text, character)


def draw_units(explored: Exploration, path: Path, count: int = UNITS) -> None:
    """Draw text in the colours of the first `count` findings to a PNG.

    The lines are those of the unseen half in which the feature changes most. Needs matplotlib (the extra [plots]);
    BadInput without it.
    """
    plt = import_pyplot()
    findings, start = explored.findings[:count], explored.shown_from
    pieces = decode_each(explored, explored.ids[start : start + SEARCHED])
    lines = break_lines(pieces)
    fonts = find_fonts("".join(piece for piece in set(pieces) if piece.isprintable()), "DejaVu Sans Mono")
    states = explored.read_states([one.unit for one in findings], len(pieces)).double().numpy().T
    size = (WIDTH * CELL[0] + 0.2, (LINES * CELL[1] + 0.32) * len(findings))
    figure, panels = plt.subplots(len(findings), 1, figsize=size, layout="constrained", squeeze=False)
    for axes, finding, own in zip(panels[:, 0], findings, states, strict=True):
        unit = finding.unit
        feature = next(one for one in explored.found.features if one.name == unit.feature)
        draw_lines(axes, find_lively(lines, feature.values[start:]), (own - unit.mean) / unit.std, fonts)
        where = f"layer {unit.layer}, unit {unit.unit}, {NAMES[unit.part]}"
        title = f"{unit.feature}: {where}, r = {unit.r:.2f} on unseen text"
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    save_figure(figure, path)
    plt.close(figure)


def break_lines(pieces: list[str]) -> list[Line]:
    """The lines of a text; a long one is broken. Line ends are shown as spaces."""
    lines: list[Line] = [[]]
    for place, piece in enumerate(pieces):
        lines[-1].append((place, " " if piece == "\n" else piece))
        if piece == "\n" or len(lines[-1]) == WIDTH:
            lines.append([])
    return [line for line in lines if line]


def find_lively(lines: list[Line], feature: NDArray[np.float32]) -> list[Line]:
    """The LINES lines, one after another, in which a feature (n,) changes most: the first of such."""
    windows = [lines[k : k + LINES] for k in range(max(1, len(lines) - LINES + 1))]
    changes = [float(feature[window[0][0][0] : window[-1][-1][0] + 1].std()) for window in windows]
    return windows[int(np.argmax(changes))]


def draw_lines(axes: "Axes", lines: list[Line], values: NDArray[np.float64], fonts: list[str]) -> None:
    """Each character on its colour: `values` (P,) are standard deviations from the mean."""
    picture = np.zeros((LINES, WIDTH))
    for y, line in enumerate(lines):
        for x, (place, piece) in enumerate(line):
            picture[y, x] = values[place]
            if piece.isprintable() and piece != " ":
                color = "white" if abs(values[place]) > 0.75 * REACH else "black"
                form: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "family": fonts, "color": color}
                axes.text(x, y, piece, parse_math=False, **form)
    axes.imshow(picture, cmap="RdBu_r", vmin=-REACH, vmax=REACH, aspect="auto", interpolation="nearest")
    axes.set_axis_off()
