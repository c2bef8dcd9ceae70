"""A trace as one HTML file: a table of characters, their costs, the likeliest next ones, and gates and cells of a few
units; a pointer or the arrow keys choose a character, of which the page then says everything in words.
"""

from typing import Any

from lstmlm.inspection.html_file import fill_page
from lstmlm.inspection.trace_story import ROWS, Story, show_symbol

SCRIPTS = {"INTERFACE": ("shades.js", "trace.js")}


def make_trace_page(story: Story, title: str) -> str:
    """The HTML of a trace."""
    data = {"title": title} | collect_story(story)
    return fill_page("trace.html", title, ("base.css", "trace.css"), SCRIPTS, {"DATA": data})


def collect_story(story: Story) -> dict[str, Any]:
    """What the script needs to know."""
    columns = story.trace.columns
    return {
        "layer": story.trace.layer,
        "symbols": [show_symbol(symbol) for symbol in story.trace.symbols],
        "nats": [None if nats is None else round(nats, 3) for nats in story.nats],
        "likeliest": [[[show_symbol(symbol), round(p, 4)] for symbol, p in row] for row in story.likeliest],
        "rows": [{"column": column, "name": name, "meaning": meaning} for column, name, meaning in ROWS],
        "units": [
            {"unit": one.unit, "why": one.why}
            | {column: [round(value, 3) for value in columns[column][:, one.unit].tolist()] for column, *_ in ROWS}
            for one in story.units
        ],
    }
