"""A LanguageModel is the command line in Python."""

import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from helpers.command_line import ROOT, shell

import lstmlm
from lstmlm.evaluation.scoring import Score
from lstmlm.inspection.gate_trace import format_trace


@pytest.fixture
def model(run_directory):
    return lstmlm.load(str(run_directory))


def test_generate_is_the_command_and_stream_is_what_follows_the_prompt(model, run_directory, command):
    settings = {"temperature": 0.7, "top_k": 10, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1}
    text = model.generate("The time keeper", length=60, seed=1, **settings)
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    told = command(
        "generate", str(run_directory), "--prompt", "The time keeper", "--length", "60", "--seed", "1", *words
    )
    assert text == told[1]
    assert "The time keeper" + "".join(model.stream("The time keeper", 60, seed=1, **settings)) == text


def test_a_stream_without_end_is_cut_where_one_stops(model):
    for endless in (math.inf, 10**30):
        told = "".join(itertools.islice(model.stream("The", endless, seed=1), 50))
        assert told == model.generate("The", 50, seed=1)[3:]
    assert model.generate("The", math.inf, seed=1, stop="e").endswith("e")


def test_score_is_the_cross_entropy_of_every_character_but_the_first(model):
    text = "The tide came in."
    ids = torch.from_numpy(model.vocab.encode(text))
    logits, _ = model.model(ids[None, :-1])
    score = model.score(text)
    assert score.num_chars == len(text) - 1
    assert math.isclose(score.nats, torch.nn.functional.cross_entropy(logits, ids[1:]).item() * 16, rel_tol=1e-5)


def test_another_backend_writes_the_same_and_a_file_will_do(model, run_directory):
    for where in (run_directory, run_directory / "best.safetensors"):
        assert lstmlm.load(where, backend="cell").generate("The", 50, seed=1) == model.generate("The", 50, seed=1)


def test_unknown_characters_are_left_out_or_read_as_unk(model):
    assert model.generate("Thñe", 20, oov="skip") == model.generate("The", 20)
    assert model.generate("Thñe", 20, oov="unk").startswith("Thñe")


def test_stop_may_be_a_list_and_numbers_may_be_those_of_numpy(model):
    given = model.generate("The", np.int64(30), seed=np.int64(1), stop=["q", "z"], temperature=np.float64(0.7))
    assert given == model.generate("The", 30, seed=1, stop=("q", "z"), temperature=0.7)
    assert model.generate("The", 30, top_k=np.int64(3)) == model.generate("The", 30, top_k=3)


def test_trace_is_the_command(model, run_directory, command):
    followed = model.trace("The tide")
    assert (
        command("trace", str(run_directory), "--text", "The tide")[1]
        == f"{followed}\n"
        == f"{format_trace(followed)}\n"
    )
    assert followed.columns["C"].shape == (8, 24) and "24 units at 8 characters" in repr(followed)


def test_a_trace_is_drawn_gate_by_gate(model):
    pytest.importorskip("matplotlib").use("Agg")
    axes = model.trace("The tide").plot(count=5)
    assert [panel.get_title(loc="left") for panel in axes] == [
        f"{name}, layer 0" for name in ("forget gate", "input gate", "output gate", "cell state")
    ]
    assert axes[0].images[0].get_array().shape == (5, 8)


def test_a_page_is_that_of_the_command_and_one_with_a_unit_held_differs(model, run_directory, command, tmp_path):
    mine = model.page(tmp_path / "mine.html", weights="int8", title="T", prompt="The")
    its = tmp_path / "its.html"
    options = ("--weights=int8", "--title=T", "--prompt=The")
    assert command("page", str(run_directory), "--out", str(its), *options)[0] == 0
    assert mine.read_bytes() == its.read_bytes()
    run = lstmlm.Run(run_directory)
    assert run.page(tmp_path / "run.html").read_bytes() == model.page(tmp_path / "model.html").read_bytes()
    held = model.ablate(0, 3, 0.5).page(tmp_path / "held.html")
    assert held.read_bytes() != (tmp_path / "model.html").read_bytes()
    for options in ({"weights": "int4"}, {"prompt": "\u3042"}, {"path": tmp_path / "no" / "a.html"}, {"title": 3}):
        with pytest.raises(lstmlm.BadInput):
            model.page(**options)


def test_a_score_shows_its_units(model):
    score = model.score("The tide came in.")
    shown = repr(score)
    for figure in (f"{score.nats_per_char:.4f} nats", f"{score.bits_per_char:.3f} bits", f"{score.perplexity:.3f}"):
        assert figure in shown
    assert "16 characters" in shown
    assert repr(Score(0.0, 0)) == "Score(no characters)"


def test_a_model_says_what_it_is(model, run_directory):
    shown = repr(model)
    assert "LSTM, 1 x 24 units" in shown and "tide_clock" in shown and "40 steps" in shown and "perplexity" in shown


def test_a_model_of_a_stranger_does_not_control_the_terminal(model):
    model.record["data"]["name"] = "a\x1b[2J"
    assert "\x1b" not in repr(model)


def test_completion_offers_what_is_meant_for_users():
    offered = [name for name in dir(lstmlm) if name[0] != "_"]
    assert offered == ["BadInput", "LanguageModel", "Run", "d2l", "load", "train"]
    assert all(hasattr(lstmlm, name) for name in offered)


def test_importing_the_package_does_not_import_torch():
    assert shell("-c", "import lstmlm, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)").returncode == 0


def test_the_package_is_typed_for_those_who_import_it():
    assert (ROOT / "lstmlm" / "py.typed").is_file()
    model = lstmlm.LanguageModel
    for function in (
        lstmlm.load,
        lstmlm.train,
        lstmlm.Run.plot,
        model.stream,
        model.generate,
        model.score,
        model.trace,
    ):
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        assert all(p.annotation is not p.empty for p in signature.parameters.values() if p.name != "self"), function
