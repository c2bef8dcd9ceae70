"""Pages of `lstmlm page` as tests use them: their engine under Node, the whole page in Chromium."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmlm.generation.from_model import ModelStepper
from lstmlm.generation.writer import Writer
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import Vocab

ENGINE = Path(__file__).with_name("page_engine.js")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CLOSE = 1e-5  # of logits, and of a uniform number to a boundary of the cumulative distribution


def run_engine(page: str, folder: Path, **task: Any) -> dict[str, Any]:
    """What the engine of a page answers to a task (page_engine.js); the test skips where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which is not installed")
    files = [folder / name for name in ("page.html", "task.json", "answer.json")]
    files[0].write_text(page, encoding="utf-8")
    files[1].write_text(json.dumps(task))
    done = subprocess.run([node, ENGINE, *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(files[2].read_text())
    return answer


def draw_texts(
    model: RNNModel, vocab: Vocab, prompt: str, settings: SamplingSettings, seeds: list[int], length: int
) -> list[dict[str, Any]]:
    """What `generate` draws, as the task `texts`: a text for each seed."""
    ids = vocab.encode(prompt)
    writer = Writer(ModelStepper(model), settings, seeds, vocab.unk)
    writer.read(ids)
    drawn = np.array([one.ids for one in writer.write(length)])  # (length, seeds)
    return [
        {"prompt": ids.tolist(), "expected": column.tolist(), "seed": seed, "settings": spell_settings(settings)}
        for seed, column in zip(seeds, drawn.T, strict=True)
    ]


def spell_settings(settings: SamplingSettings) -> dict[str, float]:
    """The settings under the names that the page has for them."""
    names = {"top_k": "topK", "top_p": "topP", "min_p": "minP"}
    names |= {"repetition_penalty": "penalty", "penalty_window": "penaltyWindow"}
    return {names.get(name, name): value for name, value in asdict(settings).items()}


def assert_texts_equal(partings: Iterable[list[dict[str, Any]]]) -> None:
    """No text parts but where the uniform number lies at a boundary; such places are reported."""
    places = [place for text in partings for place in text]
    assert all(place["distance"] <= CLOSE for place in places), places
    if places:
        print(f"{len(places)} places where the uniform number lies within {CLOSE} of a boundary: {places}")


def find_hashes(page: str, element: str) -> set[str]:
    """The hashes, as a policy spells them, of all scripts or styles that a browser would run."""
    contents = re.findall(rf"<{element}(?: id=\"\w+\")?>(.*?)</{element}>", page, re.DOTALL)
    return {f"'sha256-{base64.b64encode(hashlib.sha256(c.encode()).digest()).decode()}'" for c in contents}


def read_element(page: str, element: str) -> str:
    """What stands in the script or style element with this id, or of this kind."""
    found = re.search(rf'<(script|style)(?: id="{element}"[^>]*)?>(.*?)</\1>', page, re.DOTALL)
    assert found is not None
    return found[2]


def wait_until(tab: Any, expression: str, seconds: float = 60) -> None:
    """Wait until JavaScript holds in a page, whose policy forbids playwright's own way of waiting for it."""
    end = time.monotonic() + seconds
    while not tab.evaluate(expression):
        assert time.monotonic() < end, f"{expression}: not within {seconds} s"
        time.sleep(0.02)


def open_watched(browser: Any, page: str, file: Path, seen: list[str], **options: Any) -> Any:
    """Open HTML as a file in a context of its own; `seen` gets each further request, message, error and dialog."""
    file.write_text(page, encoding="utf-8")
    context = browser.new_context(
        **({"reduced_motion": "reduce", "viewport": {"width": 1000, "height": 700}} | options)
    )
    context.set_default_timeout(120_000)
    tab = context.new_page()
    tab.on("request", lambda request: seen.append(request.url))
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("pageerror", lambda error: seen.append(str(error)))
    tab.on("dialog", lambda dialog: seen.append(dialog.message))
    tab.goto(file.as_uri())
    assert seen.pop() == file.as_uri()
    return tab


def list_unnamed(tab: Any) -> list[str]:
    """The controls of a page that have no name for a screen reader."""
    unnamed: list[str] = tab.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea, [tabindex], canvas')].filter((element) =>
            ![element.getAttribute('aria-label'), element.labels?.[0]?.textContent, element.textContent].some(
                (name) => name?.trim())).map((element) => element.outerHTML)"""
    )
    return unnamed


class Elements(html.parser.HTMLParser):
    """The tags of a page in their order, and what stands in its title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "title":
            self.title += data


def launch_chromium(playwright: Any) -> Any:
    """Debian's Chromium, driven by playwright; the test skips where it is not installed."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("needs chromium, which is not installed")
    return playwright.chromium.launch(executable_path=path)
