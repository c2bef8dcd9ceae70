"""The page of a run loads nothing, runs nothing, and shows what a stranger wrote as text."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.inspection.chart import SHOWN, Line, choose_ticks, draw_chart
from lstmlm.inspection.html_file import quote_hash
from lstmlm.inspection.report_page import Chart, Figure, Report, Sample, make_report

STRANGE = "</title><script>alert(1)</script>&\u202e\x1b[31m\udce9"
CURVE = [(1.0, 2.5), (2.0, float("nan")), (3.0, 1.5)]


class Elements(HTMLParser):
    """The names of the elements, and the attributes, of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}


def make_strange_report(text: str) -> str:
    """A page in which this text stands everywhere."""
    chart = Chart(text, {text: CURVE}, text, level=(text, 2.0), about=text)
    figures, samples = [Figure(text, text, text)], [Sample(text, text, text)]
    return make_report(
        Report(text, text, figures, [text], [chart], samples, [text], {text: text}, {text: text}, foot=text)
    )


@pytest.mark.parametrize("text", [STRANGE, "<!--STYLE-->", "plain"])
def test_what_a_stranger_wrote_is_text_and_the_page_has_no_script_and_loads_nothing(text):
    page = make_strange_report(text)
    elements = Elements(page)
    assert elements.names == Elements(make_strange_report("x")).names
    assert not {"script", "img", "link", "iframe", "object", "a"} & set(elements.names)
    assert not {name for name in elements.attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert not {"\u202e", "\x1b", "\udce9"} & set(page)
    page.encode()


def test_the_policy_allows_the_style_of_the_page_and_nothing_else():
    page = make_report(Report("a", "b"))
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1].replace("&#x27;", "'")
    assert policy == f"default-src 'none'; style-src {quote_hash(style)}; base-uri 'none'; form-action 'none'"


def test_a_part_without_contents_is_left_out():
    assert "<section>" not in make_report(Report("a", "b"))


def test_a_chart_has_each_line_and_leaves_out_what_is_not_finite():
    drawn = draw_chart([Line("train", CURVE, "a"), Line("val", [(1.0, 2.0)], "b")], "steps", ("n-gram", 1.9))
    assert drawn.count("<polyline") == 2 and drawn.count("<circle") == 3 and 'class="level"' in drawn
    assert "nan" not in drawn
    assert "svg" not in draw_chart([Line("train", [(0.0, float("inf"))], "a")], "steps")


def test_a_long_line_is_thinned_and_keeps_its_last_point():
    drawn = draw_chart([Line("loss", [(float(k), float(k)) for k in range(10_000)], "a")], "steps")
    points = re.search(r'points="(.*?)"', drawn)[1].split()
    assert len(points) <= SHOWN and points[-1] == "470.0,10.0"


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e7))
def test_ticks_are_few_evenly_spaced_and_enclose_the_values(low, extent):
    ticks = choose_ticks(low, low + extent)
    assert 2 <= len(ticks) <= 8 and ticks[0] <= low + 1e-6 * extent and ticks[-1] >= low + extent * (1 - 1e-6)
