"""The page in a real Chromium, opened as a file: it writes the text of generate, and sends no request."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.forms import make_model
from helpers.pages import CLOSE, launch_chromium, list_unnamed, open_watched, wait_until

from lstmlm.evaluation.scoring import iterate_char_nats
from lstmlm.generation.from_model import start_writer
from lstmlm.generation.writer import write_pieces
from lstmlm.inspection.page import make_page
from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import ByteVocab, Vocab

VOCAB = Vocab.from_tokens(["<unk>", *"abcdefgh \n.,"])
PROMPT = "abba, gaga"
HOSTILE = "</script><script>hacked = 1</script><img src=x onerror=hacked=1>"
# At full speed, pause after so many characters
SET = "length => { page.controls.fields.speed.value = 9; page.controls.fields.length.value = length; }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")
    with playwright.sync_playwright() as running:
        chromium = launch_chromium(running)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open HTML as a file: it asks for nothing else and complains of nothing. Press Write, and it writes `length`."""
    with contextlib.ExitStack() as opened:
        seen: list[str] = []

        def open_html(page: str, length: int = 300, **options: Any) -> Any:
            tab = open_watched(browser, page, tmp_path / "page.html", seen, **options)
            opened.callback(tab.context.close)
            tab.evaluate(SET, length)
            return tab

        yield open_html
        assert not seen


def make_small(vocab: Vocab = VOCAB, **arguments: Any) -> RNNModel:
    model = make_model("scratch", torch.float32, vocab_size=len(vocab), **({"num_hiddens": 12} | arguments))
    with torch.no_grad():
        model.W_hq *= 2
    return model


def write_text(model: RNNModel, vocab: Vocab, prompt: str, length: int, seed: int = 0, **settings: float) -> str:
    writer = start_writer(model, vocab, prompt, SamplingSettings(**settings), [seed])
    return prompt + "".join(piece for (piece,), _ in write_pieces(writer, vocab, length))


def read_text(tab: Any, mode: str = "paused") -> str:
    """The text of the page when it writes and reads no more."""
    wait_until(tab, f"page.mode === '{mode}' && !page.unread.length && !page.frame")
    text: str = tab.evaluate("document.getElementById('text').textContent")
    return text


@pytest.mark.parametrize("prompt", ["", PROMPT])
def test_a_page_writes_the_text_of_generate(open_page, prompt):
    model = make_small(num_layers=2)
    tab = open_page(make_page(model, VOCAB, "", prompt=prompt), length=2000)
    tab.fill("#seed", "5")
    tab.evaluate("page.controls.fields['top-p'].value = 0.9")
    tab.click("#go")
    assert read_text(tab) == write_text(model, VOCAB, prompt, 2000, seed=5, top_p=0.9)


@pytest.mark.slow
@pytest.mark.parametrize("cell", WEIGHT_NAMES)
def test_a_page_of_any_cell_writes_the_text_of_generate(open_page, cell):
    model = make_small(cell=cell, num_layers=2, num_hiddens=32)
    tab = open_page(make_page(model, VOCAB, "", prompt=PROMPT), length=2000)
    for settings in ({"temperature": 1}, {"temperature": 0.7, "top_p": 0.9}, {"top_k": 5, "min_p": 0.05}):
        for seed in range(5):
            fields = {"temperature": 0.8, "top-p": 1, "top-k": 0, "min-p": 0, "seed": seed}
            for name, value in (fields | {name.replace("_", "-"): value for name, value in settings.items()}).items():
                tab.evaluate("([name, value]) => { page.controls.fields[name].value = value; }", [name, value])
            tab.click("#stop", force=True)
            tab.click("#go")
            assert read_text(tab) == write_text(model, VOCAB, PROMPT, 2000, seed=seed, **settings)


def test_a_byte_model_writes_the_text_of_generate(open_page):
    model = make_small(ByteVocab(), cell="gru")
    tab = open_page(make_page(model, ByteVocab(), "", prompt="é"))
    tab.click("#go")
    read_text(tab)
    shown = (
        "Array.from(document.getElementById('text').textContent, char => char.codePointAt(0))"  # lone surrogates too
    )
    whole = write_text(model, ByteVocab(), "é", 300)
    assert not whole.isprintable() and 0xDC00 <= ord(whole[-1]) < 0xDD00  # it ends within a character
    assert "".join(map(chr, tab.evaluate(shown))) == whole
    tab.click("#go")
    read_text(tab)
    assert "".join(map(chr, tab.evaluate(shown))) == write_text(model, ByteVocab(), "é", 600)


def test_a_click_into_the_text_continues_from_there_as_generate_does_from_that_prompt(open_page):
    model = make_small()
    tab = open_page(make_page(model, VOCAB, "", prompt=PROMPT))
    tab.click("#go")
    before = read_text(tab)
    mark = next(k for k in range(40, 300) if before[k].isalpha() and before[k - 1].isalpha())  # no line begins there
    tab.evaluate("document.getElementById('paper').scrollTop = 0")
    place = tab.evaluate(f"page.text.placeOf({mark})")
    tab.mouse.click(place["x"] + 1, (place["top"] + place["bottom"]) / 2)
    wait_until(tab, f"page.tape.position === {mark} && !page.frame")
    assert tab.text_content("#go") == "Continue from here"
    tab.fill("#seed", "7")
    tab.click("#here")
    assert read_text(tab) == write_text(model, VOCAB, before[:mark], 300, seed=7)


def test_typed_words_are_read_and_cost_what_score_says(open_page):
    model, words = make_small(), "a bad cabbage, fed"
    tab = open_page(make_page(model, VOCAB, "", prompt="abc"))
    for typed in (words, "a bad egg", words):
        tab.fill("#prompt", typed)
        assert read_text(tab, "idle") == typed
    nats = torch.cat(list(iterate_char_nats(model, torch.from_numpy(VOCAB.encode(words))))).numpy()
    surprisals = tab.evaluate("page.tape.surprisals")
    np.testing.assert_allclose(surprisals[1:], nats, atol=CLOSE)
    assert tab.text_content("#statistics") == f"Your characters: {len(nats)}, {nats.mean():.2f} nats each"


def test_what_the_alphabet_lacks_is_named(open_page):
    tab = open_page(make_page(make_small(), VOCAB, ""))
    tab.fill("#prompt", "aΩ B")
    assert read_text(tab, "idle") == "a b"
    assert tab.text_content("#notice") == "Read otherwise: B as b. Left out, for the model has no such character: Ω"


def test_a_bar_writes_its_character_and_the_text_goes_on(open_page):
    model = make_small()
    tab = open_page(make_page(model, VOCAB, "", prompt=PROMPT))
    wait_until(tab, "document.querySelector('#next .glyph').textContent")
    chosen = tab.evaluate("page.alphabet.tokens[document.querySelectorAll('#next button')[3].value]")
    tab.locator("#next button").nth(3).click()
    assert read_text(tab) == PROMPT + chosen
    tab.click("#go")
    assert read_text(tab) == write_text(model, VOCAB, PROMPT + chosen, 300)


def test_the_keyboard_alone_moves_the_mark_and_continues(open_page):
    model = make_small()
    tab = open_page(make_page(model, VOCAB, "", prompt=PROMPT))
    tab.focus("#text")
    tab.keyboard.press(" ")
    before = read_text(tab)
    for key in ("Home", "ArrowRight", "ArrowRight", "Control+ArrowRight", "ArrowLeft"):
        tab.keyboard.press(key)
    position = tab.evaluate("page.tape.position")
    assert 3 <= position < 300
    wait_until(tab, "document.getElementById('said').textContent.includes('Most probable next')")
    tab.keyboard.press("Enter")
    assert read_text(tab) == write_text(model, VOCAB, before[:position], 300)
    tab.keyboard.press("Escape")
    assert tab.evaluate("page.mode") == "idle"


def test_every_control_has_a_name_for_a_screen_reader(open_page):
    tab = open_page(make_page(make_small(num_layers=2), VOCAB, "a title", prompt="abc"))
    wait_until(tab, "document.querySelector('#next button').getAttribute('aria-label')")
    assert list_unnamed(tab) == []


@pytest.mark.parametrize(
    "cell", ["lstm", *(pytest.param(cell, marks=pytest.mark.slow) for cell in ("gru", "gru_before", "rnn"))]
)
def test_gates_and_states_of_every_cell_are_shown_and_a_unit_shades_the_text(open_page, cell):
    tab = open_page(make_page(make_small(cell=cell), VOCAB, "", prompt=PROMPT))
    wait_until(tab, "page.text.ends.length === 10")
    named = tab.locator("figcaption b").all_text_contents()
    states = {"lstm": ["cell", "hidden state"]}.get(cell, ["hidden state"])
    gates = {"lstm": ["input gate", "forget gate", "output gate", "candidate"], "rnn": []}
    assert named == gates.get(cell, ["update gate", "reset gate", "candidate"]) + states
    tab.locator("#parts canvas").last.click(position={"x": 2, "y": 2})
    wait_until(tab, "document.querySelector('#text span[class^=p], #text span[class^=n]')")
    assert tab.input_value("#shading") == "H"
    assert tab.input_value("#unit") == "0"


def test_a_narrow_screen_needs_no_sideways_scrolling(open_page):
    page = make_page(make_small(num_layers=2), VOCAB, "a title " * 10, prompt="a" * 300)
    tab = open_page(page, viewport={"width": 400, "height": 800})
    tab.click("summary")
    tab.select_option("#shading", "C")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_hostile_strings_stay_text(open_page):
    vocab = Vocab.from_tokens(["<unk>", *dict.fromkeys(HOSTILE + "\n&\"'\u202e\0")])
    tab = open_page(make_page(make_small(vocab=vocab), vocab, HOSTILE, prompt=HOSTILE))
    assert tab.title() == tab.text_content("h1") == HOSTILE
    assert read_text(tab, "idle") == HOSTILE
    tab.click("#go")
    read_text(tab)
    assert tab.evaluate("typeof hacked") == "undefined"
    assert tab.locator("img").count() == 0


def test_a_page_begins_by_itself_unless_less_motion_is_wished(open_page):
    model = make_small()
    still = open_page(make_page(model, VOCAB, "", prompt=PROMPT))
    time.sleep(0.2)
    assert still.text_content("#text") == PROMPT
    moving = open_page(make_page(model, VOCAB, "", prompt=PROMPT), reduced_motion="no-preference")
    wait_until(moving, "page.tape.length > 20")
