"""Draw one step of the LSTM with the numbers of the worked example: python docs/draw_cell.py writes lstm_cell.svg.

The numbers are those of `python -m lstmlm trace` at WORD. The drawing stands on its own opaque panel and has a palette
for light and one for dark viewers, so that it is readable on any page. Coordinates are pixels, y pointing down.
"""

import math
from pathlib import Path

from lstmlm.inspection.gate_trace import EXAMPLE_WEIGHTS, EXAMPLE_WORDS, follow_example

OUT = Path(__file__).with_name("lstm_cell.svg")
WORD = "She"  # the word at which the cell changes most
Point = tuple[float, float]

# Colours: panel and cell are surfaces; long, short and input are wires; gate and candidate are boxes
LIGHT = {"panel": "#ffffff", "cell": "#f6f8fa", "edge": "#d1d9e0", "text": "#1f2328", "muted": "#59636e"}
LIGHT |= {"long": "#1a7f37", "short": "#8250df", "gate": "#0969da", "candidate": "#bc4c00"}
LIGHT |= {"gate-box": "#ddf4ff", "candidate-box": "#fff1e5"}
DARK = {"panel": "#0d1117", "cell": "#161d27", "edge": "#3d444d", "text": "#f0f6fc", "muted": "#9198a1"}
DARK |= {"long": "#3fb950", "short": "#b78aff", "gate": "#58a6ff", "candidate": "#f0883e"}
DARK |= {"gate-box": "#0d2847", "candidate-box": "#38220f"}

WIDTH, HEIGHT = 1000, 600
CELL_LINE, JOIN_LINE, SHOWN_LINE, HIDDEN_LINE = 150, 240, 290, 466  # the heights of the horizontal wires
GATES = {"F": 222, "I": 370, "C~": 518, "O": 666}  # the middle of each gate
TITLES = {"F": "forget gate", "I": "input gate", "C~": "candidate", "O": "output gate"}
ENTRY, EXIT = 170, 792  # where X joins H, and where H branches off the cell line
LEFT, RIGHT, BOTTOM = 28, 972, 572  # where wires begin and end
RADIUS = 16  # of an operator
NEAR = RADIUS + 1  # the distance at which an arrow stops before the middle of an operator
BOX_TOP, BOX_WIDTH, BOX_HEIGHT = 336, 132, 98


def compute_values(word: str) -> dict[str, float]:
    """The number on every wire at `word`; "ZF" is the sum inside the gate F, and so on."""
    columns, t = follow_example(), list(EXAMPLE_WORDS).index(word)
    values = {name: column[t].item() for name, column in columns.items()}
    for name in "HC":
        values[name + "_before"] = columns[name][t - 1].item() if t else 0.0
    for gate in GATES:
        weights, bias = EXAMPLE_WEIGHTS[gate[0].lower()]
        hx = [values["H_before"], *EXAMPLE_WORDS[word]]
        values["Z" + gate] = math.fsum(w * v for w, v in zip(weights, hx, strict=True)) + bias
    kept, added = values["F"] * values["C_before"], values["I"] * values["C~"]
    return values | {"kept": kept, "added": added, "squashed": math.tanh(values["C"])}


def symbol(name: str, rest: str = "") -> str:
    """A symbol in italics, its time below the line ("C_t-1") and its tilde above ("C~"), then the rest of the line."""
    letter, _, time = name.partition("_")
    parts = f'<tspan class="symbol">{letter[0]}</tspan>'
    if letter.endswith("~"):  # moved onto the letter, for a combining tilde is missing in common fonts
        parts += f'<tspan class="symbol" dx="-0.55em" dy="-0.5em">~</tspan><tspan dy="0.5em">{rest}</tspan>'
    elif time:
        parts += f'<tspan class="symbol" font-size="70%" dy="5">{time.replace("-", "&#x2212;")}</tspan>'
        parts += f'<tspan dy="-5">{rest}</tspan>' if rest else ""
    else:
        parts += rest
    return parts


def number(values: dict[str, float], name: str) -> str:
    """A value to three decimals; its id, by which the test finds it, is its name."""
    return f'<tspan id="{name.replace("~", "_tilda")}">{values[name]:.3f}</tspan>'.replace(">-", ">&#x2212;")


def text(x: float, y: float, content: str, kind: str = "text", size: int = 17, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}">{content}</text>'


def toward(start: Point, goal: Point, distance: float) -> Point:
    """The point at a distance from `start` on the way to `goal`."""
    share = distance / math.dist(start, goal)
    return start[0] + share * (goal[0] - start[0]), start[1] + share * (goal[1] - start[1])


def wire(kind: str, *points: Point, tip: bool = True) -> str:
    """A line through the points with rounded corners; with a tip, an arrow head whose point is the last point."""
    *_, before, end = points
    shaft_end = toward(end, before, 9) if tip else end
    path = "M{:g} {:g}".format(*points[0])
    for previous, corner, following in zip(points, points[1:], points[2:], strict=False):
        path += "L{:g} {:g}Q{:g} {:g} {:g} {:g}".format(
            *toward(corner, previous, 12), *corner, *toward(corner, following, 12)
        )
    line = f'<path class="wire {kind}" d="{path}L{shaft_end[0]:g} {shaft_end[1]:g}"/>'
    if not tip:
        return line
    base_x, base_y = toward(end, before, 12)
    across_x, across_y = (base_y - end[1]) / 2, (end[0] - base_x) / 2
    corners = (end, (base_x + across_x, base_y + across_y), (base_x - across_x, base_y - across_y))
    return line + f'<polygon class="fill {kind}" points="{" ".join(f"{x:g},{y:g}" for x, y in corners)}"/>'


def joint(kind: str, x: float, y: float) -> str:
    """The dot where wires meet."""
    return f'<circle class="fill {kind}" cx="{x}" cy="{y}" r="5"/>'


def operator(x: float, y: float, sign: str) -> str:
    """A circle with + or a product's cross, both element by element."""
    strokes = f"M{x - 7} {y}H{x + 7}M{x} {y - 7}V{y + 7}"
    if sign == "x":
        strokes = f"M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}"
    return f'<circle class="operator" cx="{x}" cy="{y}" r="{RADIUS}"/><path class="operator" d="{strokes}"/>'


def draw_gate(values: dict[str, float], name: str) -> list[str]:
    """The box of a gate: its title, its value, and the function of the sum that gives the value."""
    x, kind, function = GATES[name], "gate", "&#x3c3;"
    if name == "C~":
        kind, function = "candidate", "tanh"
    box = f'x="{x - BOX_WIDTH / 2:g}" y="{BOX_TOP}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="10"'
    return [
        f'<rect class="box {kind}" {box}/>',
        text(x, BOX_TOP + 26, TITLES[name], kind, 15),
        text(x, BOX_TOP + 57, symbol(name, " = " + number(values, name)), size=20),
        text(x, BOX_TOP + 84, f"{function}({number(values, 'Z' + name)})", "muted", 16),
    ]


def state(x: float, y: float, kind: str, name: str, value: str, memory: str = "") -> list[str]:
    """What stands beside the wire of a state where it enters or leaves the cell."""
    lines = [text(x, y - 18, symbol(name), kind, 22), text(x, y + 30, value)]
    return [*lines, text(x, y + 53, memory, kind, 14)] if memory else lines


def draw_long_memory(values: dict[str, float]) -> list[str]:
    """C from left to right, past the product with F and the sum with the product of I and the candidate."""
    F, I, C_tilda, _ = GATES.values()
    kept = symbol("F", " &#x2299; ") + symbol("C_t-1", " = " + number(values, "kept"))
    added = symbol("I", " &#x2299; ") + symbol("C~", " = " + number(values, "added"))
    return [
        wire("long", (LEFT, CELL_LINE), (F - NEAR, CELL_LINE)),
        wire("long", (F, CELL_LINE), (C_tilda - NEAR, CELL_LINE)),
        wire("long", (C_tilda, CELL_LINE), (RIGHT, CELL_LINE)),
        wire("gate", (F, BOX_TOP), (F, CELL_LINE + NEAR)),
        wire("gate", (I, BOX_TOP), (I, JOIN_LINE), (C_tilda - NEAR, JOIN_LINE)),
        wire("candidate", (C_tilda, BOX_TOP), (C_tilda, JOIN_LINE + NEAR)),
        wire("candidate", (C_tilda, JOIN_LINE), (C_tilda, CELL_LINE + NEAR)),
        *(operator(F, CELL_LINE, "x"), operator(C_tilda, JOIN_LINE, "x"), operator(C_tilda, CELL_LINE, "+")),
        text(I, CELL_LINE - 18, kept),
        text(C_tilda + 14, (CELL_LINE + JOIN_LINE) / 2 + 6, added, anchor="start"),
        *state(LEFT + 48, CELL_LINE, "long", "C_t-1", number(values, "C_before"), "long memory"),
        *state(RIGHT - 48, CELL_LINE, "long", "C_t", number(values, "C")),
    ]


def draw_short_memory(values: dict[str, float]) -> list[str]:
    """H out of the cell: tanh(C), times O, then to the right."""
    shown = "tanh(" + symbol("C_t", ") = " + number(values, "squashed"))
    return [
        wire("long", (EXIT, CELL_LINE), (EXIT, SHOWN_LINE - NEAR)),
        joint("long", EXIT, CELL_LINE),
        f'<rect class="operator" x="{EXIT - 30}" y="192" width="60" height="30" rx="15"/>',
        text(EXIT, 212, "tanh", size=16),
        text(EXIT - 14, 253, shown, anchor="end"),
        wire("gate", (GATES["O"], BOX_TOP), (GATES["O"], SHOWN_LINE), (EXIT - NEAR, SHOWN_LINE)),
        wire("short", (EXIT, SHOWN_LINE), (EXIT, HIDDEN_LINE), (RIGHT, HIDDEN_LINE)),
        operator(EXIT, SHOWN_LINE, "x"),
        *state(RIGHT - 48, HIDDEN_LINE, "short", "H_t", number(values, "H")),
    ]


def draw_inputs(values: dict[str, float], word: str) -> list[str]:
    """H of the step before and X join, and the joint wire goes to the four boxes."""
    *others, last = GATES.values()
    features = ", ".join(map(str, EXAMPLE_WORDS[word]))
    note = symbol("X_t", " and ") + symbol("H_t-1", " enter all four boxes")
    return [
        wire("short", (LEFT, HIDDEN_LINE), (ENTRY, HIDDEN_LINE), tip=False),
        wire("muted", (ENTRY, BOTTOM), (ENTRY, HIDDEN_LINE + 5)),
        wire("muted", (ENTRY, HIDDEN_LINE), (last, HIDDEN_LINE), (last, BOX_TOP + BOX_HEIGHT)),
        *(wire("muted", (x, HIDDEN_LINE), (x, BOX_TOP + BOX_HEIGHT)) for x in others),
        *(joint("muted", x, HIDDEN_LINE) for x in (ENTRY, *others)),
        text((others[1] + others[2]) / 2, HIDDEN_LINE + 27, note, "muted", 15),
        text(ENTRY + 18, BOTTOM - 6, symbol("X_t", f" = [{features}]"), size=20, anchor="start"),
        *state(LEFT + 48, HIDDEN_LINE, "short", "H_t-1", number(values, "H_before"), "short memory"),
    ]


def rules(palette: dict[str, str]) -> list[str]:
    """The style rules that depend on the palette."""
    lines = [f".{name} {{ fill: {palette[name]}; stroke: {palette['edge']} }}" for name in ("panel", "cell")]
    lines += [f".text {{ fill: {palette['text']} }}"]
    lines += [f".operator {{ fill: {palette['cell']}; stroke: {palette['text']} }}"]
    for name in ("long", "short", "gate", "candidate", "muted"):
        lines += [f".wire.{name} {{ stroke: {palette[name]} }} .fill.{name}, text.{name} {{ fill: {palette[name]} }}"]
    for name in ("gate", "candidate"):
        lines += [f".box.{name} {{ fill: {palette[name + '-box']}; stroke: {palette[name]} }}"]
    return lines


def make_svg(word: str = WORD) -> str:
    """The whole file."""
    values = compute_values(word)
    title = f"One step of an LSTM: the worked example at &#x201c;{word}&#x201d;"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{title}</title>",
        "<style>",
        "text { font-family: ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif }",
        ".symbol { font-family: 'STIX Two Text', 'Times New Roman', 'Liberation Serif', serif; font-style: italic }",
        ".title { font-weight: 600 } .box, .operator { stroke-width: 1.8 }",
        ".wire { fill: none; stroke-width: 2 } .wire.long { stroke-width: 4 } .wire.short { stroke-width: 3 }",
        *rules(LIGHT),
        "@media (prefers-color-scheme: dark) {",
        *rules(DARK),
        "}",
        "</style>",
        f'<rect class="panel" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="14"/>',
        '<rect class="cell" x="134" y="78" width="732" height="430" rx="22"/>',
        text(LEFT, 42, title, "text title", 21, "start"),
        text(RIGHT, BOTTOM - 6, "numbers: python -m lstmlm trace", "muted", 14, "end"),
        *draw_inputs(values, word),
        *draw_long_memory(values),
        *draw_short_memory(values),
        *(part for name in GATES for part in draw_gate(values, name)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    OUT.write_text(make_svg(), encoding="utf-8")
