"""A word that is no setting as it stands ends in one line that has what to type."""

import re
from types import SimpleNamespace

import pytest

from lstmlm.settings.overrides import quote_free_text

SAYS = [
    ("lr=0.01", "lr: no such setting: did you mean train.lr?"),
    ("num_hiddens=big", "num_hiddens: no such setting: did you mean model.num_hiddens?"),
    ("bakend=nn", "bakend: no such setting: did you mean backend?"),
    ("train.lrr=1", "train.lrr: no such setting: did you mean train.lr?"),
    ("qqqq=1", "qqqq: no such setting: python train.py --help lists them"),
    ("train.qqqq=1", "train.qqqq: no such setting: there are train.max_epochs, "),
    ("--backend nn", "--backend: a setting has no dashes: type backend=nn"),
    ("--num-hiddens=3", "--num-hiddens=3: a setting has no dashes: type model.num_hiddens=3"),
    ("backend nn", "backend: cannot be read as a setting: type backend=nn"),
    ("backend\uff1dnn", "backend\uff1dnn: has a full-width =: type backend=nn"),
]


@pytest.mark.parametrize(("words", "says"), SAYS)
def test_the_line_has_what_to_type(train, words, says):
    code, out, err = train(*words.split(" "))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {says}"), err


def test_without_assertions_hydras_functions_are_refused_and_lists_are_not(train, monkeypatch):
    monkeypatch.setattr("sys.flags", SimpleNamespace(optimize=1))
    code, _, err = train("-m", "seed=range(1,3)")
    says = "error: seed=range(1,3): Hydra's functions fail without assertions: unset PYTHONOPTIMIZE, or list the values"
    assert (code, err) == (2, says + "\n")
    assert quote_free_text(["seed=1,2", "data.path=a(1).txt"], sweep=True)[0] == "seed=1,2"


def test_the_nearest_setting_stands_alone(train):
    _, _, err = train("train.lrr=1")
    assert len(re.findall(r"\w+\.\w+", err)) == 2
