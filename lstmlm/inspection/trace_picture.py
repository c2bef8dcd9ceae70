"""A trace as a PNG: characters, what they cost, what was likeliest next, and gates and cells of a few units.

T = characters of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmlm.inspection.trace_story import LIKELIEST, ROWS, Story, show_symbol
from lstmlm.system.plotting import find_fonts, import_pyplot, save_figure

COLUMNS = 30  # characters beside each other
CELL = (0.27, 0.21)  # inches
LABEL = 1.9  # inches, for the names of the rows
LARGEST_COST = 6  # nats of the highest bar
RANKS = ("likeliest next", "second", "third")
ABOVE = 4 + LIKELIEST  # rows above those of the units
BLOCK = 1 + len(ROWS)  # rows of a unit


def draw_story(story: Story, path: Path) -> None:
    """Draw strips of COLUMNS characters below each other. Needs matplotlib ([plots]); BadInput without it."""
    plt = import_pyplot()
    length, width = len(story.nats), min(COLUMNS, len(story.nats))
    starts, rows = range(0, length, width), ABOVE + BLOCK * len(story.units) + 1
    size = (LABEL + width * CELL[0] + 0.2, len(starts) * rows * CELL[1] + 0.3)
    figure, panels = plt.subplots(len(starts), 1, figsize=size, squeeze=False)
    figure.subplots_adjust(LABEL / size[0], 0, 1 - 0.1 / size[0], 1 - 0.3 / size[1], hspace=0)
    figure.text(0.1 / size[0], 1 - 0.2 / size[1], f"layer {story.trace.layer} while the model reads", fontsize=10)
    seen = [*story.trace.symbols, *(symbol for row in story.likeliest for symbol, _ in row)]
    fonts = find_fonts("".join(map(show_symbol, seen)), "DejaVu Sans Mono")
    for axes, start in zip(panels[:, 0], starts, strict=True):
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_axis_off()
        Strip(axes, story, range(start, min(start + width, length)), fonts).draw()
    save_figure(figure, path)
    plt.close(figure)


@dataclass(frozen=True)
class Strip:
    """A column for each of the characters at `places`, from the top down what it is, what it cost, and so on."""

    axes: Any
    story: Story
    places: range
    fonts: Sequence[str]

    def draw(self) -> None:
        self.label(0, "character read")
        self.label(1.7, f"its cost (0 to {LARGEST_COST} nats)")
        for rank in range(len(self.story.likeliest[0])):
            self.label(3 + rank, RANKS[rank])
        for x, t in enumerate(self.places):
            self.write(x, 0, self.story.trace.symbols[t], 12, weight="bold")
            height = 1.7 * min(self.story.nats[t] or 0, LARGEST_COST) / LARGEST_COST
            self.axes.bar(x, height, bottom=2.4 - height, width=0.7, color="#e25418")
            for rank, (symbol, p) in enumerate(self.story.likeliest[t]):
                self.write(x, 3 + rank, symbol, 9, alpha=0.25 + 0.75 * p)
        for k in range(len(self.story.units)):
            self.draw_unit(k, ABOVE + BLOCK * k)

    def draw_unit(self, k: int, y: float) -> None:
        """The rows of a unit, the first at height y."""
        shown = self.story.units[k]
        self.label(y, f"unit {shown.unit}", weight="bold")
        self.axes.text(-0.4, y, shown.why, fontsize=9, va="center", parse_math=False)
        for row, (column, name, meaning) in enumerate(ROWS, 1):
            values = self.story.trace.columns[column][:, shown.unit].cpu()
            self.label(y + row, f"{name}: {meaning}" if k == 0 and self.places.start == 0 else name)
            reach = float(values.abs().max()) if column == "C" else 1.0
            self.fill(y + row, values[self.places.start : self.places.stop].tolist(), reach, column == "C")

    def fill(self, y: float, values: list[float], reach: float, signed: bool) -> None:
        """A row of numbers in their colours, up to `reach`."""
        scale = {"cmap": "RdBu_r", "vmin": -reach} if signed else {"cmap": "Greens", "vmin": 0}
        where = (-0.5, len(values) - 0.5, y + 0.5, y - 0.5)
        self.axes.imshow([values], extent=where, aspect="auto", vmax=reach, **scale)
        for x, value in enumerate(values):
            color = "white" if abs(value) > 0.6 * reach else "black"
            self.axes.text(x, y, format_short(value), fontsize=6, ha="center", va="center", color=color)

    def label(self, y: float, text: str, **form: Any) -> None:
        """The name of a row, to the left of it."""
        self.axes.text(-0.7, y, text, fontsize=8, ha="right", va="center", parse_math=False, **form)

    def write(self, x: float, y: float, symbol: str, size: int, **form: Any) -> None:
        """A character."""
        shown = show_symbol(symbol)
        form |= {"ha": "center", "va": "center", "family": self.fonts, "parse_math": False}
        self.axes.text(x, y, shown, fontsize=size if len(shown) == 1 else 5, **form)


def format_short(value: float) -> str:
    """With one decimal, and without a zero before it: .5, -.5, 1.0."""
    text = f"{value:.1f}"
    if text in ("0.0", "-0.0"):
        return ".0"
    return text.replace("0.", ".", 1) if abs(value) < 0.95 else text
