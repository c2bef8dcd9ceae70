"""A figure that grows while a model trains, by the book's name: d2l 0.17, section 3.6."""

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

from lstmlm.system.notebook import in_notebook


class Animator:
    """Lines through the points that `add` is given: in a notebook a figure, updated in place; elsewhere no figure.

    The points are in X and Y, a list for each line. A figure needs matplotlib (the extra [plots]).
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: Sequence[str] = (),
        xlim: tuple[float, float] | None = None,
        ylim: tuple[float, float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: Sequence[str] = ("-", "m--", "g-.", "r:"),
        figsize: tuple[float, float] = (3.5, 2.5),
    ) -> None:
        self.X: list[list[float]] = []
        self.Y: list[list[float]] = []
        self.axes = {"xlabel": xlabel, "ylabel": ylabel, "xscale": xscale, "yscale": yscale, "xlim": xlim, "ylim": ylim}
        self.legend, self.fmts, self.figsize = legend, fmts, figsize
        self.outputs: list[Any] = []  # the figure and the note in the output of the cell, after the first `add`
        self.draws = in_notebook() and importlib.util.find_spec("matplotlib") is not None
        if in_notebook() and not self.draws:
            print("no figure, because matplotlib is not installed: pip install matplotlib")

    def add(self, x: float, y: float | Sequence[float], note: str = "") -> None:
        """Add a point (x, y) to every line; y has a value for each. `note` is shown below the figure, or printed."""
        values = list(y) if isinstance(y, Sequence) else [y]
        self.X = self.X or [[] for _ in values]
        self.Y = self.Y or [[] for _ in values]
        for xs, ys, value in zip(self.X, self.Y, values, strict=True):
            xs.append(x)
            ys.append(value)
        if self.draws:
            self.show(note)
        elif note:
            print(note)

    def show(self, note: str) -> None:
        """Put the figure and the note into the output of the cell, or in the place of those before."""
        from IPython.display import Image, Pretty, display

        shown = [Image(self.draw(), format="png", retina=True), Pretty(note)]
        if self.outputs:
            for output, new in zip(self.outputs, shown, strict=True):
                output.update(new)
        else:
            self.outputs = [display(new, display_id=True) for new in shown]

    def draw(self) -> bytes:
        """The figure as a PNG, of twice the resolution for dense screens."""
        from matplotlib.figure import Figure  # here, because training does not need it; pyplot would choose a backend

        figure = Figure(figsize=self.figsize, layout="constrained")
        axes = figure.subplots()
        for xs, ys, fmt in zip(self.X, self.Y, self.fmts, strict=False):
            axes.plot(xs, ys, fmt)
        axes.set(**{name: value for name, value in self.axes.items() if value is not None})
        if self.legend:
            axes.legend(self.legend)
        axes.grid()
        png = io.BytesIO()
        figure.savefig(png, dpi=200, format="png")
        return png.getvalue()
