"""`lstmlm explore`: one page, one object of JSON, one picture; nothing in them can be made to run by a stranger."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from helpers.forms import make_model
from helpers.pages import Elements, find_hashes

from lstmlm.inspection.exploration import Exploration, explore
from lstmlm.inspection.explore_page import CONNECTED, make_explore_page
from lstmlm.inspection.states import iterate_states
from lstmlm.inspection.units import Unit
from lstmlm.text.vocab import ByteVocab, Vocab

VOCAB = Vocab.from_tokens(["<unk>", *"abc. \n"])
HOSTILE = "</script><script>alert(1)</script><!--<script>\"'&]]>\u2028</title><img src=x onerror=alert(1)>"
WORDS = "abc ab. cab\nca "


def explore_small(vocab: Vocab = VOCAB, text: str = WORDS * 60, **arguments) -> Exploration:
    model = make_model("scratch", torch.float32, vocab_size=len(vocab), **({"num_hiddens": 4} | arguments))
    return explore(model, vocab, torch.from_numpy(vocab.encode(text)))


def read_data(page: str) -> dict:
    return json.loads(re.search(r'id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_page_has_the_states_of_every_unit(cell):
    explored = explore_small(cell=cell, num_layers=2)
    data = read_data(make_explore_page(explored, "a title"))
    shown = explored.ids[data["start"] :]
    assert "".join(data["pieces"]) == VOCAB.decode(shown)
    blocks = list(iterate_states(explored.model, explored.ids))
    order = torch.cat([block.places for block in blocks]).argsort()
    states = torch.cat([block.states for block in blocks])[order][data["start"] :].numpy()
    levels = np.frombuffer(base64.b64decode(data["values"]), np.int8).reshape(len(data["columns"]), len(shown))
    part = "C" if cell == "lstm" else "H"
    assert {(k, unit) for k in range(2) for unit in range(4)} <= {
        (column["layer"], column["unit"]) for column in data["columns"] if column["part"] == part
    }
    for column, row in zip(data["columns"], levels, strict=True):
        own = states[:, explored.found.parts.index((column["layer"], column["part"])) * 4 + column["unit"]]
        shown_value = column["mean"] + row / 127 * column["scale"]
        inside = np.abs(own - column["mean"]) < column["scale"]
        assert np.abs(shown_value - own)[inside].max() < column["scale"] / 127 + 1e-4
        assert inside.mean() > 0.9
    shares = np.frombuffer(base64.b64decode(data["shares"]), np.uint8).reshape(-1, data["window"])
    assert len(shares) == min(CONNECTED, len(shown) - 1)


def test_the_text_shown_is_unseen_and_begins_with_a_line():
    explored = explore_small()
    assert explored.middle <= explored.shown_from < explored.middle + len(WORDS)
    assert VOCAB.decode(explored.ids[explored.shown_from - 1 :][:1]) == "\n"


def test_bytes_are_shown_as_their_characters():
    explored = explore_small(ByteVocab(), "é€a. b\nc " * 60)
    pieces = read_data(make_explore_page(explored, ""))["pieces"]
    assert "".join(pieces).startswith("c é€a. b\nc ")
    assert pieces[2:7] == ["", "é", "", "", "€"]


def test_hostile_strings_cannot_leave_their_place():
    vocab = Vocab.from_tokens([HOSTILE, "\n", *"<>&\"'/abc"])
    plain = make_explore_page(explore_small(), "a title")
    hostile = make_explore_page(explore_small(vocab, "</script>\n<a&b>'c'\"" * 40 + "zz" * 40), HOSTILE)
    assert [tag for tag, _ in Elements(hostile).tags] == [tag for tag, _ in Elements(plain).tags]
    assert Elements(hostile).title.strip() == HOSTILE
    assert read_data(hostile)["title"] == HOSTILE
    assert "</script>" in "".join(read_data(hostile)["pieces"])


def test_the_policy_allows_the_scripts_of_the_page_and_no_request():
    page = make_explore_page(explore_small(), HOSTILE)
    tags = Elements(page).tags
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert set(rules["script-src"].split()) == find_hashes(page, "script")
    assert set(rules["style-src"].split()) == find_hashes(page, "style")
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    links = [a[name] for _, a in tags for name in ("src", "href") if name in a]
    assert all(link.startswith("data:") for link in links)


# The command


def test_the_command_writes_page_picture_and_numbers(run_directory, command, tmp_path):
    page, picture = tmp_path / "units.html", tmp_path / "units.png"
    code, told, _ = command("explore", str(run_directory), "--out", str(page), "--png", str(picture))
    assert code == 0
    assert told.splitlines()[0].split() == ["feature", "layer", "unit", "state", "r", "memory", "held:", "+", "median"]
    assert told.splitlines()[-1] == f"{page}: {page.stat().st_size / 1e6:.1f} MB: open it in a browser"
    assert Elements(page.read_text(encoding="utf-8")).title.strip() == "tide clock"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


def test_numbers_of_a_file_as_json_are_those_of_the_library(run_directory, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "The tide came in. The lamp was out.\n" * 30
    (tmp_path / "my.txt").write_text(text)
    code, told, _ = command("explore", str(run_directory), "my.txt", "--json")
    row = json.loads(told)
    assert code == 0 and [path.name for path in tmp_path.iterdir()] == ["my.txt"]
    assert (row["text"], row["num_chars"]) == ("my.txt", len(text))
    from lstmlm import load

    model = load(run_directory)
    units = model.units(text)
    assert [Unit(**unit) for unit in row["units"]] == units
    hidden = next(unit for unit in units if (unit.layer, unit.unit, unit.part) == (0, 3, "H"))
    held = model.ablate(0, 3, hidden.mean)
    assert held.score(text).nats != model.score(text).nats
    assert held.generate("The", 20, seed=1) == model.ablate(0, 3, hidden.mean).generate("The", 20, seed=1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--out", "nowhere/units.html"], "--out: no such folder: nowhere: make it first"),
        (["--png", "nowhere/units.png"], "--png: no such folder: nowhere: make it first"),
        (["missing.txt"], "FILE: "),
        (["short.txt"], "FILE: has 9 characters: what units track needs at least 500"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_writes_nothing(run_directory, command, tmp_path, monkeypatch, words, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("The tide\n")
    code, _, told = command("explore", str(run_directory), *words)
    assert code == 2
    assert told.startswith(f"error: {error}")
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["short.txt"]
