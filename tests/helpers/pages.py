"""Pages of `lstmlm page` as tests use them: their engine under Node, the whole page in Chromium."""

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


def launch_chromium(playwright: Any) -> Any:
    """Debian's Chromium, driven by playwright; the test skips where it is not installed."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("needs chromium, which is not installed")
    return playwright.chromium.launch(executable_path=path)
