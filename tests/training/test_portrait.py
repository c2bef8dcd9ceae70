"""The inside of a model is shown for no more than its share of the training time, and the run is the same without."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm.inspection.gate_trace import draw_layers
from lstmlm.inspection.reach_picture import draw_reach
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.vocab import Vocab
from lstmlm.training import portrait
from lstmlm.training.portrait import HISTOGRAMS, Portrait, collect_histograms
from lstmlm.training.projector import write_projector
from lstmlm.training.tensorboard import Curves, escape_markdown

IDS = torch.arange(12).reshape(2, 6) % 5
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("cell, cells", [("lstm", True), ("gru", False), ("rnn", False)])
def test_histograms_are_of_weights_openings_and_cells(cell, cells):
    model = RNNModel(ModelConfig(5, 4, 2, cell=cell))
    values = collect_histograms(model, IDS)
    assert {f"weights/{name}" for name in model.book_weights()} <= set(values)
    openings = {tag for tag in values if tag.startswith("openings/")}
    assert len(openings) == 2 * {"lstm": 3, "gru": 2, "rnn": 0}[cell] and ("cells/layer1" in values) == cells
    assert all(values[tag].min() >= 0 and values[tag].max() <= 1 for tag in openings)


def test_they_are_taken_while_they_are_affordable(tmp_path):
    model, curves = RNNModel(ModelConfig(5, 4)), Curves(tmp_path)
    before = {name: weight.clone() for name, weight in model.book_weights().items()}
    nothing = Portrait(0, IDS, lambda model: pytest.fail("drawn"))
    nothing.take(curves, 1, model, 1e6)
    part = Portrait(0.01, IDS, lambda model: {"gates/layer0": PNG})
    part.take(curves, 2, model, 1.0)  # of which a hundredth is too little
    part.take(curves, 3, model, 1e4)
    exact = Portrait(1, IDS, lambda model: pytest.fail("drawn"))
    exact.take(curves, 4, model, HISTOGRAMS)
    curves.close()
    written = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0}).Reload()
    assert [event.step for event in written.Histograms("weights/W_hq")] == [3, 4]
    assert [event.step for event in written.Images("gates/layer0")] == [3]
    assert all(torch.equal(weight, before[name]) for name, weight in model.book_weights().items()) and model.training


def test_what_they_took_is_spent(tmp_path, monkeypatch):
    seconds = itertools.count(0.0, 3.0)  # each reading is 3 s after the one before: so long they take
    monkeypatch.setattr(portrait, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    model, curves = RNNModel(ModelConfig(5, 4)), Curves(tmp_path)
    found = Portrait(1, IDS, lambda model: {})
    spent = []
    for budget in (3.0, 4.0, 5.9, 6.0, 9.9, 13.0):  # pictures are expected to take PICTURES seconds
        found.take(curves, 1, model, budget)
        spent.append(found.spent)
    curves.close()
    assert spent == [3, 3, 3, 6, 9, 12]


def test_each_layer_of_an_lstm_is_drawn_and_other_cells_are_not():
    pytest.importorskip("matplotlib")
    pictures = draw_layers(RNNModel(ModelConfig(5, 4, 2)), IDS[0], list("abc\n\u3042e"))
    assert set(pictures) == {"gates/layer0", "gates/layer1"}
    assert all(png.startswith(PNG) for png in pictures.values())
    assert draw_layers(RNNModel(ModelConfig(5, 4, cell="gru")), IDS[0], list("abcdef")) == {}


def test_the_reach_of_the_gradient_is_drawn_of_a_text_that_is_long_enough():
    pytest.importorskip("matplotlib")
    model, ids = RNNModel(ModelConfig(5, 4, 2, dropout=0.5)), torch.arange(300).remainder(5).tolist()
    pictures = draw_reach(model, ids)
    assert list(pictures) == ["reach/gradient"] and pictures["reach/gradient"].startswith(PNG)
    assert draw_reach(model, ids[:200]) == {} and model.training


def test_the_projector_has_a_point_and_a_label_for_each_character(tmp_path):
    vocab = Vocab("aB7 .\n\t\u202e")
    write_projector(tmp_path, torch.randn(3, len(vocab)), vocab)
    points = np.loadtxt(tmp_path / "projector_points.tsv", delimiter="\t")
    head, *labels = (tmp_path / "projector_labels.tsv").read_text(encoding="utf-8").splitlines()
    assert head == "character\tclass" and points.shape == (len(vocab), 3) and len(labels) == len(vocab)
    assert {"a\tvowel", "B\tcapital letter", "7\tdigit", "space\twhite space", ".\tpunctuation"} <= set(labels)
    assert {"line end\twhite space", "tab\twhite space", "\\u202e\tother"} <= set(labels)


@pytest.mark.parametrize("line", ["# a *b* [c](d) <b>", "  two", ""])
def test_a_sample_is_no_markdown(line):
    from markdown import markdown

    shown = markdown(escape_markdown(line)).removeprefix("<p>").removesuffix("</p>")
    assert "<" not in shown.replace("&lt;", "")
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").strip() == line.strip()
