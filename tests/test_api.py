"""`from lstmlm import load` is the command line in Python."""

import inspect
import itertools
import math

import pytest
import torch
from helpers.command_line import ROOT, shell

import lstmlm
from lstmlm.api import LanguageModel
from lstmlm.system.errors import BadInput


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


MISTAKES = [
    (lambda m: m.generate("ñ"), r"prompt: character '\\xf1' \(U\+00F1\)"),
    (lambda m: m.generate("a", temperature=-1), "temperature: must be 0"),
    (lambda m: m.generate("a", top_k=0), "top_k: must be 1 or more"),
    (lambda m: m.generate("a", stop="ñ"), "stop: "),
    (lambda m: m.generate("a", stop=""), "stop: is empty"),
    (lambda m: m.generate("a", length=-1), "length: must be 0 or more"),
    (lambda m: m.generate("a", oov="drop"), "oov: "),
    (lambda m: m.score("a"), "text: has 1 character"),
]


@pytest.mark.parametrize(("mistake", "says"), MISTAKES)
def test_a_mistake_is_a_value_error_in_one_line(model, mistake, says):
    with pytest.raises(BadInput, match=says):
        mistake(model)


def test_unknown_characters_are_left_out_or_read_as_unk(model):
    assert model.generate("Thñe", 20, oov="skip") == model.generate("The", 20)
    assert model.generate("Thñe", 20, oov="unk").startswith("Thñe")


def test_importing_the_package_does_not_import_torch():
    assert shell("-c", "import lstmlm, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)").returncode == 0


def test_the_package_is_typed_for_those_who_import_it():
    assert (ROOT / "lstmlm" / "py.typed").is_file()
    for function in (lstmlm.load, lstmlm.api.load, LanguageModel.stream, LanguageModel.generate, LanguageModel.score):
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, function
        assert all(p.annotation is not p.empty for p in signature.parameters.values() if p.name != "self"), function
