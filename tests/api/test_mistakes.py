"""A mistake of a caller in Python is BadInput, in one line, that names the argument as the caller typed it."""

import math

import pytest
from helpers.command_line import TINY

import lstmlm
from lstmlm.api.keywords import find_setting
from lstmlm.settings.config import SETTINGS
from lstmlm.system.errors import BadInput


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text("The tide came in.")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lstmlm.train(*TINY, directory=tmp_path_factory.mktemp("run") / "run")


def test_every_setting_has_a_keyword():
    short = {name.rpartition(".")[2] for name in SETTINGS}
    assert {find_setting(name) for name in short} | {find_setting(name) for name in SETTINGS} == set(SETTINGS)


def test_a_keyword_that_two_settings_have_is_refused(monkeypatch):
    monkeypatch.setitem(SETTINGS, "sample.lr", SETTINGS["train.lr"])
    with pytest.raises(BadInput, match=r"^lr: may be train\.lr or sample\.lr: give the override 'train\.lr=VALUE' or"):
        lstmlm.train(lr=0.1)


OF_TRAIN = [
    (dict(max_epoch=3), r"max_epoch: no such setting: did you mean max_epochs\?"),
    (dict(bakend="nn"), r"bakend: no such setting: did you mean backend\?"),
    (dict(dir="x"), r"dir: no such setting: did you mean directory\?"),
    (dict(zzz=1), r"zzz: no such setting: python train\.py --help lists them"),
    (dict(model=3), "model: is a group of settings: give each by itself: cell, "),
    (dict(seed=-1), "seed: must be finite and 0 to"),
    (dict(seed=1.5), "seed: value '1.5' of type 'float' could not be converted to Integer"),
    (dict(num_hiddens=0), "num_hiddens: must be finite and 1 to"),
    (dict(num_hiddens="big"), "num_hiddens: value 'big' of type 'str' could not be converted"),
    (dict(num_hiddens=[1]), "num_hiddens: "),
    (dict(num_hiddens={"a": 1}), r"num_hiddens: \{'a': 1\} is no value of a setting"),
    (dict(num_hiddens=object()), "num_hiddens: <object object .* is no value of a setting"),
    (dict(lr=math.nan), "lr: must be finite and more than 0, got nan"),
    (dict(lr=math.inf), "lr: "),
    (dict(lr=10**5000), "lr: a value of type int is no value of a setting"),
    (dict(threads="many"), "threads: no such option 'many': choose auto or a number"),
    (dict(backend="nnn"), "backend=nnn: no such option: choose one of"),
    (dict(backend=None), "backend: None is no name"),
    (dict(data="tide_clok"), r"data: no such file or text: tide_clok: did you mean tide_clock\?"),
    (dict(data="nowhere.txt"), r"data: no such file or text: nowhere\.txt: give a path, or one of enwik8, "),
    (dict(data=3), r"data: 3 is no path and no name of a text: give data='my\.txt'"),
    (dict(data=""), "data: is empty"),
    (dict(directory=""), "directory: is empty"),
    (dict(prompt="\u0416"), r"prompt: character '\\u0416' \(U\+0416\) at position 0 is not in the vocabulary"),
    (dict(max_epochs=None), r"max_epochs: no limit is set"),
]


@pytest.mark.parametrize(("settings", "says"), OF_TRAIN, ids=range(len(OF_TRAIN)))
def test_a_mistake_in_a_keyword_is_named(settings, says):
    with pytest.raises(BadInput, match=f"^{says}") as raised:
        lstmlm.train(**settings)
    assert "\n" not in str(raised.value)


OF_OVERRIDES = [
    (["lr=0.1"], r"lr: no such setting: did you mean train\.lr\?"),
    (["my.txt"], r"my\.txt: is no override: for a text, type data='my\.txt'"),
    (["-m", "seed=1,2"], "-m: is for the command line: leave it out"),
    (["--lr", "0.1"], "--lr: is for the command line"),
    (["seed=1,2"], "seed=1,2: several values are a sweep"),
    (["hydra.sweep.dir=x"], r"hydra\.sweep\.dir: has no effect here"),
    (["experiment=d3l"], "experiment=d3l: no such option: choose one of d2l"),
    ([{"lr": 0.1}], r"\{'lr': 0\.1\}: is no override: give a text such as 'train\.lr=0\.01'"),
]


@pytest.mark.parametrize(("words", "says"), OF_OVERRIDES, ids=range(len(OF_OVERRIDES)))
def test_a_mistake_in_an_override_is_named(words, says):
    with pytest.raises(BadInput, match=f"^{says}"):
        lstmlm.train(*words)


def test_a_taken_directory_is_refused(run):
    with pytest.raises(BadInput, match=r"^directory: .* holds a checkpoint already"):
        lstmlm.train(directory=run.directory)


def test_a_resume_that_changes_what_is_computed_is_refused(run):
    with pytest.raises(BadInput, match=r"^resume: model\.num_hiddens is 8 in the run, 9 now"):
        run.resume(num_hiddens=9)


def test_a_run_is_the_directory_of_one(tmp_path):
    with pytest.raises(BadInput, match=r"^run: .* is no directory of a run"):
        lstmlm.Run(tmp_path)
    with pytest.raises(BadInput, match=r"^checkpoint: no such file: nowhere"):
        lstmlm.Run("nowhere")


OF_LOAD = [
    ((3,), {}, "run_or_checkpoint: must be a path, got 3"),
    (("nowhere",), {}, "checkpoint: no such file: nowhere"),
    (("nowhere", "nm"), {}, "backend: no such option 'nm': choose one of scratch, nn, cell, fused"),
    (("nowhere",), {"device": "gpu"}, "device: no such option 'gpu': choose one of auto, cpu, cuda, mps"),
    (("nowhere",), {"device": 0}, "device: must be a str, got 0"),
]


@pytest.mark.parametrize(("words", "options", "says"), OF_LOAD, ids=range(len(OF_LOAD)))
def test_a_mistake_in_load_is_named(words, options, says):
    with pytest.raises(BadInput, match=f"^{says}"):
        lstmlm.load(*words, **options)


OF_THE_MODEL = [
    (lambda m: m.generate("ñ"), r"prompt: character '\\xf1' \(U\+00F1\)"),
    (lambda m: m.generate(5), "prompt: must be a str, got 5"),
    (lambda m: m.generate("a", temprature=1), r"temprature: no such option: did you mean temperature\?"),
    (lambda m: m.stream("a", zzz=1), "zzz: no such option: there are prompt, length, seed"),
    (lambda m: m.generate("a", temperature=-1), "temperature: must be 0"),
    (lambda m: m.generate("a", temperature=None), "temperature: must be 0 .*, got None"),
    (lambda m: m.generate("a", temperature="hot"), "temperature: must be 0 .*, got 'hot'"),
    (lambda m: m.generate("a", top_k=0), "top_k: must be a whole number, 1 or more"),
    (lambda m: m.generate("a", top_k=2.5), r"top_k: must be a whole number, 1 or more, got 2\.5"),
    (lambda m: m.generate("a", top_p=[0.9]), r"top_p: must be more than 0 and at most 1, got \[0\.9\]"),
    (lambda m: m.generate("a", seed=-1), "seed: must be a whole number from 0 to"),
    (lambda m: m.generate("a", seed="x"), "seed: must be a whole number from 0 to"),
    (lambda m: m.generate("a", seed=2**80), "seed: must be a whole number from 0 to"),
    (lambda m: m.generate("a", stop="ñ"), "stop: "),
    (lambda m: m.generate("a", stop=""), "stop: is empty"),
    (lambda m: m.generate("a", stop=3), "stop: must be a str, got 3"),
    (lambda m: m.generate("a", length=-1), "length: must be 0 or more"),
    (lambda m: m.generate("a", length="x"), "length: must be 0 or more, a whole number or math.inf, got 'x'"),
    (lambda m: m.generate("a", length=math.nan), "length: must be 0 or more"),
    (lambda m: m.generate("a", length=2.5), "length: must be 0 or more"),
    (lambda m: m.generate("a", oov="drop"), "oov: "),
    (lambda m: m.score("a"), "text: has 1 character"),
    (lambda m: m.score(None), "text: must be a str, got None"),
    (lambda m: m.trace(""), "text: is empty"),
    (lambda m: m.trace("ñ"), "text: character"),
    (lambda m: m.trace("a", layer=4), "layer: the model has layers 0 to 0, got 4"),
    (lambda m: m.trace("a", layer="0"), "layer: must be a whole number, counted from 0, got '0'"),
]


@pytest.mark.parametrize(("mistake", "says"), OF_THE_MODEL, ids=range(len(OF_THE_MODEL)))
def test_a_mistake_with_a_model_is_a_value_error_in_one_line(run, mistake, says):
    with pytest.raises(BadInput, match=f"^{says}") as raised:
        mistake(run.model)
    assert isinstance(raised.value, ValueError) and "\n" not in str(raised.value)
