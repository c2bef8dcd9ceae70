"""The pages of `lstmlm explore` and of `trace --html` in a real Chromium, opened as files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.forms import make_model
from helpers.pages import launch_chromium, list_unnamed, open_watched

from lstmlm.inspection.exploration import explore
from lstmlm.inspection.explore_page import make_explore_page
from lstmlm.inspection.gate_trace import trace_gates
from lstmlm.inspection.trace_page import make_trace_page
from lstmlm.inspection.trace_story import tell_story
from lstmlm.text.vocab import Vocab

HOSTILE = "</script><script>hacked = 1</script><img src=x onerror=hacked=1>"
WORDS = HOSTILE + " abc, cab.\nhis\u05d0\u05d1 "


@pytest.fixture(scope="module")
def page() -> str:
    vocab = Vocab.from_tokens(["<unk>", *dict.fromkeys(WORDS)])
    model = make_model("scratch", torch.float32, vocab_size=len(vocab), num_layers=2, num_hiddens=6)
    return make_explore_page(explore(model, vocab, torch.from_numpy(vocab.encode(WORDS * 30))), HOSTILE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")
    with playwright.sync_playwright() as running:
        chromium = launch_chromium(running)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any, page: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page: it asks for nothing and complains of nothing."""
    seen: list[str] = []
    opened = open_watched(browser, page, tmp_path / "units.html", seen, **getattr(request, "param", {}))
    yield opened
    opened.context.close()
    assert not seen


def test_hostile_strings_stay_text(tab):
    assert tab.title() == tab.text_content("h1") == HOSTILE
    assert HOSTILE in tab.text_content("#text")
    assert tab.evaluate("typeof hacked") == "undefined"
    assert tab.locator("img").count() == 0


def test_every_control_has_a_name_for_a_screen_reader(tab):
    assert list_unnamed(tab) == []


def test_a_finding_colours_the_text_with_its_unit(tab):
    button = tab.locator("#findings button").nth(1)
    button.click()
    finding = tab.evaluate("explorer.data.findings[1]")
    assert button.get_attribute("aria-pressed") == "true"
    assert [tab.input_value(f"#{id}") for id in ("layer", "unit", "part")] == [
        str(finding["layer"]),
        str(finding["unit"]),
        finding["part"],
    ]
    assert f"r = {finding['r']:.2f} on unseen text" in tab.text_content("#unit-facts")
    levels = tab.evaluate("Array.from(explorer.excerpt.values(explorer.column), (value) => Math.abs(value) / 127)")
    shades = tab.evaluate("""explorer.text.runs.flatMap((run) => Array(run.textContent.length).fill(run.className))""")
    assert len(shades) == len(levels)
    for shade, level in zip(shades, levels, strict=True):
        assert shade[1:] == ("" if level < 0.15 else str(sum(level >= bound for bound in (0.15, 0.35, 0.6, 0.85))))


def test_any_unit_can_be_chosen_and_the_same_state_is_found_elsewhere(tab):
    tab.select_option("#layer", "1")
    tab.fill("#unit", "4")
    assert tab.evaluate("explorer.excerpt.columns[explorer.column].unit") == 4
    tab.focus("#text")
    tab.keyboard.press("Home")
    for _ in range(9):
        tab.keyboard.press("ArrowRight")
    assert tab.evaluate("explorer.position") == 10
    tab.fill("#width", "6")
    tab.select_option("#scope", "layer")
    nearest = tab.evaluate(
        "explorer.excerpt.findSimilar(explorer.excerpt.scope(explorer.column, true), 9, 6).places[0]"
    )
    pieces = tab.evaluate("explorer.excerpt.pieces")
    # The text repeats itself, so the nearest place is a repetition
    assert pieces[nearest - 5 : nearest + 1] == pieces[4:10]
    tab.locator("#similar button").first.click()
    assert tab.evaluate("explorer.position") == nearest + 1


def test_the_mark_says_on_which_characters_a_prediction_rests(tab):
    tab.focus("#text")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    assert tab.text_content("#strip") == tab.evaluate(
        "explorer.excerpt.pieces.slice(0, 2).join('').replaceAll('\\n', '↵')"
    )
    assert "half of its gradient" in tab.text_content("#rests")
    tab.keyboard.press("End")
    shares = tab.evaluate("explorer.excerpt.sharesAt(explorer.excerpt.length - 1)")
    assert shares is None and "first characters of this text only" in tab.text_content("#rests")


@pytest.mark.parametrize("tab", [{"viewport": {"width": 400, "height": 800}}], indirect=True)
def test_a_narrow_screen_needs_no_sideways_scrolling(tab):
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_page_of_a_trace_tells_of_the_character_that_is_pointed_at(browser, tmp_path):
    vocab, seen = Vocab.from_tokens(["<unk>", *dict.fromkeys(HOSTILE)]), []
    model = make_model("scratch", torch.float32, vocab_size=len(vocab), num_hiddens=6)
    ids = torch.from_numpy(vocab.encode(HOSTILE))
    story = tell_story(model, vocab, ids, trace_gates(model, ids, HOSTILE, 0), None)
    tab = open_watched(browser, make_trace_page(story, HOSTILE), tmp_path / "trace.html", seen)
    tab.locator("td[data-place='5']").first.hover()
    said = tab.text_content("#said")
    assert said.startswith(f"{HOSTILE[5]} cost {story.nats[5]:.2f} nats. Likeliest next: ")
    assert said.count("forget gate") == 4
    tab.focus("#frame")
    tab.keyboard.press("ArrowRight")
    assert tab.text_content("#said").startswith(f"{HOSTILE[6]} cost")
    assert tab.evaluate("typeof hacked") == "undefined"
    tab.context.close()
    assert not seen
