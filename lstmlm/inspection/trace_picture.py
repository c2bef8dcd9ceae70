"""A trace as a PNG: characters, what they cost, what was likeliest next, and gates and cells of a few units.

T = characters of the text.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lstmlm.inspection.trace_story import LIKELIEST, ROWS, Story, show_symbol
from lstmlm.system.plotting import import_pyplot

COLUMNS = 30  # characters beside each other
CELL = (0.27, 0.21)  # inches
LABEL = 1.9  # inches, for the names of the rows
LARGEST_COST = 6  # nats of the highest bar


def draw_story(story: Story, path: Path) -> None:
    """Draw strips of COLUMNS characters below each other. Needs matplotlib ([plots]); BadInput without it."""
    plt = import_pyplot()
    length, width = len(story.nats), min(COLUMNS, len(story.nats))
    starts = range(0, length, width)
    rows = 5 + LIKELIEST + (len(ROWS) + 1) * len(story.units)
    size = (LABEL + width * CELL[0] + 0.2, len(starts) * rows * CELL[1] + 0.3)
    figure, panels = plt.subplots(len(starts), 1, figsize=size, squeeze=False)
    figure.subplots_adjust(
        left=LABEL / size[0], right=1 - 0.1 / size[0], top=1 - 0.25 / size[1], bottom=0.02, hspace=0.04
    )
    figure.text(0.1 / size[0], 1 - 0.17 / size[1], f"layer {story.trace.layer} while the model reads", fontsize=10)
    for axes, start in zip(panels[:, 0], starts, strict=True):
        draw_strip(axes, story, range(start, min(start + width, length)))
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_axis_off()
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def draw_strip(axes: Any, story: Story, places: range) -> None:
    """One strip: a column for each character, from the top down what it is, what it cost, and so on."""
    label(axes, 0, "character read")
    label(axes, 1.7, f"its cost (0 to {LARGEST_COST} nats)")
    for rank in range(LIKELIEST):
        label(axes, 3 + rank, ("likeliest next", "second", "third")[rank])
    for x, t in enumerate(places):
        write(axes, x, 0, story.trace.symbols[t], size=12, weight="bold")
        if (nats := story.nats[t]) is not None:
            height = 1.7 * min(nats, LARGEST_COST) / LARGEST_COST
            axes.bar(x, height, bottom=2.4 - height, width=0.7, color="#e25418")
        for rank, (symbol, p) in enumerate(story.likeliest[t]):
            write(axes, x, 3 + rank, symbol, size=9, alpha=0.25 + 0.75 * p)
    for k, shown in enumerate(story.units):
        y = 4 + LIKELIEST + k * (len(ROWS) + 1)
        label(axes, y, f"unit {shown.unit}", weight="bold")
        axes.text(-0.4, y, shown.why, fontsize=9, va="center", parse_math=False)
        for row, (column, name, meaning) in enumerate(ROWS, 1):
            values = story.trace.columns[column][:, shown.unit].cpu().numpy()
            reach = float(np.abs(values).max()) if column == "C" else 1.0
            label(axes, y + row, f"{name}: {meaning}" if k == 0 and places.start == 0 else name)
            picture = values[places.start : places.stop][None]
            scale = (
                {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
                if column == "C"
                else {"cmap": "Greens", "vmin": 0, "vmax": 1}
            )
            axes.imshow(picture, extent=(-0.5, len(places) - 0.5, y + row + 0.5, y + row - 0.5), aspect="auto", **scale)
            for x, value in enumerate(picture[0]):
                dark = abs(value) > 0.6 * reach
                axes.text(
                    x,
                    y + row,
                    format_short(float(value)),
                    fontsize=6,
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )


def format_short(value: float) -> str:
    """With one decimal, and without the zero before it."""
    text = f"{value:.1f}"
    return {"-0.0": ".0", "0.0": ".0"}.get(text, text.replace("0.", ".") if abs(value) < 0.95 else text)


def label(axes: Any, y: float, text: str, **form: Any) -> None:
    """The name of a row, to the left of it."""
    axes.text(-0.7, y, text, fontsize=8, ha="right", va="center", parse_math=False, **form)


def write(axes: Any, x: float, y: float, symbol: str, size: int, **form: Any) -> None:
    shown = show_symbol(symbol)
    axes.text(
        x,
        y,
        shown,
        fontsize=size if len(shown) == 1 else 5,
        ha="center",
        va="center",
        family="monospace",
        parse_math=False,
        **form,
    )
