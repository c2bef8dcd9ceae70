"""The text in the colours of a few units, as a PNG: a panel for each, red where it is high, blue where it is low.

P = characters of the picture.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstmlm.inspection.exploration import Exploration, Finding
from lstmlm.inspection.explore_page import decode_each
from lstmlm.system.plotting import find_fonts, import_pyplot, save_figure

UNITS = 3
LINES = 6
WIDTH = 76  # characters of a line at most
CELL = (0.105, 0.2)  # inches of a character


def draw_units(explored: Exploration, path: Path, count: int = UNITS) -> None:
    """Draw the first lines of the unseen half in the colours of the first `count` findings to a PNG.

    Needs matplotlib (the extra [plots]); BadInput without it.
    """
    plt = import_pyplot()
    findings = explored.findings[:count]
    start = explored.shown_from
    shown = explored.ids[start : start + LINES * WIDTH]
    rows = break_lines(decode_each(explored, shown))
    fonts = find_fonts("".join(piece for row in rows for _, piece in row if piece.isprintable()), "DejaVu Sans Mono")
    values = read_values(explored, findings, len(shown))
    height = len(rows) * CELL[1] + 0.32
    figure, panels = plt.subplots(
        len(findings), 1, figsize=(WIDTH * CELL[0] + 0.2, height * len(findings)), layout="constrained", squeeze=False
    )
    for axes, finding, column in zip(panels[:, 0], findings, values, strict=True):
        unit = finding.unit
        picture = np.zeros((len(rows), WIDTH))
        for y, row in enumerate(rows):
            for x, (place, piece) in enumerate(row):
                picture[y, x] = column[place]
                if piece.isprintable() and piece != " ":
                    axes.text(x, y, piece, ha="center", va="center", fontsize=9, family=fonts, parse_math=False)
        axes.imshow(picture, cmap="RdBu_r", vmin=-1.6, vmax=1.6, aspect="auto", interpolation="nearest")
        name = {"C": "cell", "H": "hidden state"}[unit.part]
        title = f"{unit.feature}: layer {unit.layer}, unit {unit.unit}, {name}, r = {unit.r:.2f} on unseen text"
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
        axes.set_axis_off()
    save_figure(figure, path)
    plt.close(figure)


def break_lines(pieces: list[str]) -> list[list[tuple[int, str]]]:
    """(place, character) of each line of the picture; a long line is broken. Line ends are shown as spaces."""
    rows: list[list[tuple[int, str]]] = [[]]
    for place, piece in enumerate(pieces):
        rows[-1].append((place, " " if piece == "\n" else piece))
        if piece == "\n" or len(rows[-1]) == WIDTH:
            rows.append([])
    return [row for row in rows if row][:LINES]


def read_values(explored: Exploration, findings: list[Finding], count: int) -> NDArray[np.float64]:
    """(units, P) the states of the findings in the first `count` characters shown, in standard deviations."""
    units = [one.unit for one in findings]
    mean, std = (np.array([[getattr(unit, name) for unit in units]]) for name in ("mean", "std"))
    values: NDArray[np.float64] = ((explored.read_states(units, count).double().numpy() - mean) / std).T
    return values
