"""The models that ship are what their cards say, small, and without a trace of the run's optimizer or machine."""

import hashlib
import json
import re

import pytest
import safetensors
from helpers.command_line import ROOT

import lstmlm
from lstmlm.checkpoints.shipped import find_card, list_shipped
from lstmlm.model.shapes import compute_shapes

NAMES = ["names", "shakespeare", "tide_clock"]
TEXT = (ROOT / "data" / "tide_clock.txt").read_text(encoding="utf-8")
LARGEST = 4_000_000  # bytes


def read_card(name: str) -> dict[str, str]:
    """The rows of a card."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", find_card(name).read_text(encoding="utf-8"), re.MULTILINE)
    return {key: value.strip("`") for key, value in rows}


def test_the_models_are_these_and_each_has_a_card():
    assert list(list_shipped()) == NAMES
    assert all(find_card(name).is_file() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_what_its_card_says(name):
    data, card, model = list_shipped()[name].read_bytes(), read_card(name), lstmlm.load(name)
    start = int(0.9 * len(TEXT))
    assert card["SHA-256"] == hashlib.sha256(data).hexdigest()
    assert card["bytes"] == f"{len(data):,}" and len(data) <= LARGEST
    assert card["parameters"] == f"{sum(weights.numel() for weights in model.model.parameters()):,}"
    assert card["steps"] == f"{model.record['step']:,}"
    rounding = 2e-4 if card["weights"] == "bfloat16" else 5e-5  # the record has the loss of the weights in float32
    assert float(card["val, nats per character"]) == pytest.approx(model.record["metrics"]["loss/val"], abs=rounding)
    check, text = "1,000 characters of The Tide Clock's val, nats per character", TEXT[start : start + 1000]
    if model.vocab.boundary is not None:
        check, text = "the document margaret, nats per character, its end included", "margaret"
    assert float(card[check]) == pytest.approx(model.score(text).nats_per_char, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_its_weights_alone_and_no_path_of_the_machine_that_trained_it(name):
    with safetensors.safe_open(list_shipped()[name], "np") as file:
        tensors, metadata = set(file.keys()), file.metadata()
    model = lstmlm.load(name)
    assert tensors == set(compute_shapes(model.model.config))
    assert not re.search(r"(/|\\\\)\w+(/|\\\\)", metadata["lstmlm"].replace("0.9/0.05/0.05", ""))
    assert model.record["prompt"] or model.vocab.boundary is not None


def test_the_commands_take_the_name_of_a_model_that_ships(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("The tide turned, and nobody said a word about it.")
    code, out, err = command("generate", "tide_clock", "The tide", "--length", "30")
    assert (code, err) == (0, "") and out.startswith("The tide") and len(out) == 38
    assert command("score", "tide_clock", "mine.txt")[0] == 0
    assert json.loads(command("evaluate", "shakespeare", "--file", "mine.txt", "--json")[1])["num_chars"] == 48
    assert command("page", "tide_clock", "--out", "model.html")[0] == 0
    code, out, _ = command("models")
    assert code == 0 and all(name in out for name in NAMES)
    assert command("models", "tide_clock") == (0, find_card("tide_clock").read_text(encoding="utf-8"), "")
    assert [row["name"] for row in json.loads(command("models", "--json")[1])] == NAMES
    assert "did you mean tide_clock?" in command("models", "tide_clok")[2]


def test_names_are_written_without_a_download(command, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path))
    code, out, err = command("generate", "names", "--documents", "9")
    assert code == 0 and len([line for line in out.splitlines() if line.isalpha()]) == 9
    assert "not compared with the training text: data=names is not in the cache" in err
