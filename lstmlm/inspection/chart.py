"""Line charts as SVG, to stand in an HTML page: no script, colours by the classes of the page's style.

Names may come from a stranger: they are escaped.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lstmlm.system.escape import escape_controls

WIDTH, HEIGHT = 480, 280  # units of the drawing, which is scaled to its place
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 10, 34  # margins
TICKS = 5  # about so many on an axis
SHOWN = 400  # points of a line at most


@dataclass(frozen=True)
class Line:
    """`style` is a class of the page's style. Points that are not finite are left out. One point is drawn as a dot."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str


def draw_chart(lines: Sequence[Line], x_name: str, level: tuple[str, float] | None = None) -> str:
    """A chart with a legend. `level` is a name and a value: a dashed horizontal line."""
    drawn = [Line(line.name, keep_finite(line.points), line.style) for line in lines]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return "<p>nothing to draw yet</p>"
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points] + ([level[1]] if level else [])
    room = 0.1 * abs(ys[0]) or 1.0 if min(ys) == max(ys) else 0.0  # a level line, or one point, is in the middle
    x_ticks, y_ticks = choose_ticks(min(xs), max(xs)), choose_ticks(min(ys) - room, max(ys) + room)
    x_span, y_span = (min(xs), max(xs)), (min([*y_ticks, *ys]), max([*y_ticks, *ys]))
    parts = [draw_axes(x_ticks, y_ticks, x_span, y_span, x_name)]
    if level:
        y = place(level[1], y_span, HEIGHT - BOTTOM, TOP)
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [draw_line(line, x_span, y_span) for line in drawn]
    legend = [(line.name, line.style) for line in drawn] + ([(level[0], "level")] if level else [])
    if len(legend) == 1:
        legend = []  # the title says what it is
    names = "".join(f'<li class="{style}">{escape(name)}</li>' for name, style in legend)
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
    return f'{drawing}<ul class="key">{names}</ul>'


def escape(text: str) -> str:
    """A text as it may stand in HTML: `<` and `&`, and what would turn the direction of the text, are escaped."""
    return html.escape(escape_controls(text))


def keep_finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The finite points, thinned to SHOWN; the last one stays."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    every = -(-len(finite) // SHOWN) if finite else 1
    return finite[::-1][::every][::-1]


def draw_axes(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_span: tuple[float, float],
    y_span: tuple[float, float],
    x_name: str,
) -> str:
    parts = []
    for value in y_ticks:
        y = place(value, y_span, HEIGHT - BOTTOM, TOP)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="y" x="{LEFT - 6}" y="{y + 4:.1f}">{format_tick(value)}</text>')
    for value in x_ticks:
        if x_span[0] <= value <= x_span[1]:
            x = place(value, x_span, LEFT, WIDTH - RIGHT)
            parts.append(f'<text class="x" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}">{format_tick(value)}</text>')
    parts.append(f'<text class="x" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}">{escape(x_name)}</text>')
    return "".join(parts)


def draw_line(line: Line, x_span: tuple[float, float], y_span: tuple[float, float]) -> str:
    """The line, with a dot and its numbers at each point where there are few."""
    placed = [
        (place(x, x_span, LEFT, WIDTH - RIGHT), place(y, y_span, HEIGHT - BOTTOM, TOP), x, y) for x, y in line.points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in placed)
    dots = (
        ""
        if len(placed) > 40
        else "".join(
            f'<circle class="{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
            f"<title>{escape(line.name)}: {value:.4g} at {at:,.4g}</title></circle>"
            for x, y, at, value in placed
        )
    )
    return f'<polyline class="{line.style}" points="{path}"/>{dots}'


def place(value: float, span: tuple[float, float], start: float, end: float) -> float:
    """Where a value lies between start and end; in the middle, if all values are one."""
    low, high = span
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def choose_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, and those just outside."""
    if high <= low:
        return [low]
    rough = (high - low) / TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= rough)
    return [step * k for k in range(math.floor(low / step), math.ceil(high / step) + 1)]


def format_tick(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{round(value, 6):g}"
