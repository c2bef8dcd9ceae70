"""docs/lstm_cell.svg is what docs/draw_cell.py makes; its numbers are those of the gate trace; it can be read."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from helpers.command_line import ROOT
from helpers.scripts import load_script

from lstmlm.inspection.gate_trace import EXAMPLE_WORDS, follow_example

script = load_script("docs/draw_cell.py")
SVG = "{http://www.w3.org/2000/svg}"
WORDS = list(EXAMPLE_WORDS)


def shown_numbers(svg: str) -> dict[str, float]:
    """The numbers in the drawing by their ids."""
    spans = ElementTree.fromstring(svg).iter(SVG + "tspan")
    return {span.get("id"): float(span.text.replace("\u2212", "-")) for span in spans if span.get("id")}


def test_the_file_is_what_the_script_makes():
    assert (ROOT / "docs" / "lstm_cell.svg").read_text(encoding="utf-8") == script.make_svg()


@pytest.mark.parametrize("word", WORDS)
def test_the_numbers_are_those_that_the_gate_trace_computes(word):
    columns, t = follow_example(), WORDS.index(word)
    now = {name: column[t].item() for name, column in columns.items()}
    H_before, C_before = (columns[name][t - 1].item() if t else 0.0 for name in "HC")
    expected = {"F": now["F"], "I": now["I"], "C_tilda": now["C~"], "O": now["O"], "C": now["C"], "H": now["H"]}
    expected |= {"H_before": H_before, "C_before": C_before}
    expected |= {f"Z{gate}": math.log(now[gate] / (1 - now[gate])) for gate in "FIO"}
    expected |= {"ZC_tilda": math.atanh(now["C~"]), "kept": now["F"] * C_before, "added": now["I"] * now["C~"]}
    expected["squashed"] = math.tanh(now["C"])

    shown = shown_numbers(script.make_svg(word))
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        assert shown[name] == pytest.approx(value, abs=0.0005001), name


def test_the_word_drawn_is_the_word_at_which_the_cell_changes_most():
    cells = [0.0, *follow_example()["C"][:, 0].tolist()]
    changes = [abs(after - before) for before, after in pairwise(cells)]
    assert WORDS[changes.index(max(changes))] == script.WORD


def test_the_features_drawn_are_those_of_the_word():
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(script.make_svg()).iter(SVG + "text")]
    assert f"Xt = {EXAMPLE_WORDS[script.WORD]}" in texts


def test_every_arrow_ends_at_an_operator_a_box_a_joint_or_the_right_margin():
    root = ElementTree.fromstring(script.make_svg())
    circles = [circle for circle in root.iter(SVG + "circle")]
    ends = [[float(c.get("cx")), float(c.get("cy")), float(c.get("r"))] for c in circles]
    bottom = script.BOX_TOP + script.BOX_HEIGHT
    arrows = [polygon.get("points").split()[0] for polygon in root.iter(SVG + "polygon")]
    assert len(arrows) == 15
    for x, y in (map(float, arrow.split(",")) for arrow in arrows):
        at_circle = any(math.dist((x, y), (cx, cy)) <= r + 1 for cx, cy, r in ends)
        at_box = y == bottom and x in script.GATES.values()
        at_margin = x == script.RIGHT and y in (script.CELL_LINE, script.HIDDEN_LINE)
        assert at_circle or at_box or at_margin, (x, y)


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb (WCAG 2)."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", ["LIGHT", "DARK"])
def test_every_text_contrasts_with_what_lies_under_it(palette):
    colours = getattr(script, palette)
    pairs = [(name, under) for name in ("text", "muted", "long", "short") for under in ("panel", "cell")]
    pairs += [("text", "gate-box"), ("muted", "gate-box"), ("gate", "gate-box")]
    pairs += [("text", "candidate-box"), ("muted", "candidate-box"), ("candidate", "candidate-box")]
    for name, under in pairs:
        light, dark = sorted((luminance(colours[name]), luminance(colours[under])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, under)
