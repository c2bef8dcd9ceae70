"""A path is taken as a person means it, wherever it is typed: `~` expanded, an empty one and an address refused."""

import re
from pathlib import Path

import pytest
from helpers.command_line import TINY, composed_config
from hypothesis import given
from hypothesis import strategies as st

from lstmlm import load
from lstmlm.settings.overrides import quote_free_text
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path, find_cache

TEXT = "the tide comes in, the tide goes out. " * 30
EMPTY = [
    "data.path=",
    "data.val_path=",
    "data.test_path=",
    "resume=",
    "hydra.run.dir=",
    "hydra.sweep.dir=''",
    'resume=""',
]
COMMANDS = [
    ("generate", ""),
    ("generate", "run", "--prompt-file", ""),
    ("generate", "run", "--out", ""),
    ("evaluate", ""),
    ("evaluate", "run", "--file", ""),
    ("score", "run", " "),
    ("compare", ""),
    ("compare", "run", "--png", ""),
    ("convert", "--from-torch", ""),
    ("convert", "--from-torch", "x.pt", "--vocab", ""),
    ("trace", ""),
    ("lr_find", "--png", ""),
    ("baselines", "data=file", "data.path="),
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "t.txt").write_text(TEXT)
    return tmp_path / "home"


@pytest.mark.parametrize("word", EMPTY)
def test_an_empty_path_is_refused_and_nothing_is_written(train, tmp_path, word):
    (tmp_path / "secrets.env").write_text("secret " * 100)
    code, _, err = train("data=file", word)
    assert code == 2 and re.fullmatch(rf"error: {re.escape(word.partition('=')[0])}: is empty: .*\n", err), err
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == ["secrets.env"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_empty_path_is_refused_by_every_command(command, words):
    code, out, err = command(*words)
    assert (code, out) == (2, "") and re.fullmatch(r"error: [\w.-]+: is empty: .*\n", err), err


def test_a_home_is_expanded_wherever_a_path_is_taken(train, command, tmp_path, home, monkeypatch):
    tiny = ["data=file", *TINY, "data.split=[0.8,0.1,0.1]"]
    assert train(*tiny, "data.path=~/t.txt", "hydra.run.dir=~/run")[0] == 0
    assert (home / "run" / "last.safetensors").exists()
    assert train("resume=~/run", "train.max_steps=5")[0] == 0
    assert train(*tiny, "data.path='~/t.txt'", "hydra.run.dir='~/quoted'")[0] == 0
    assert command("generate", "~/quoted", "--length", "9", "--out=~/out.txt")[0] == 0
    assert command("score", "~/run", "~/t.txt")[0] == 0
    assert command("evaluate", "~/run", "--file=~/t.txt")[0] == 0
    assert command("compare", "~/run", "~/quoted")[0] == 0
    assert load("~/run").record["step"] == 5
    monkeypatch.setenv("LSTMLM_CACHE", "~/cache")
    assert find_cache() == home / "cache"
    assert {path.name for path in home.iterdir()} == {"t.txt", "run", "quoted", "out.txt"}
    assert not (tmp_path / "~").exists()


def test_a_sweep_takes_names_of_any_letters(train, tmp_path, home):
    for name in ("\u00e9t\u00e9.txt", "it's.txt", "\u4e2d \u6587.txt"):
        (tmp_path / name).write_text(TEXT)
    words = ["-m", "data=file", *TINY, "data.split=[0.8,0.1,0.1]", "hydra.sweep.dir=sweep"]
    code, out, err = train(*words, "data.path=\u00e9t\u00e9.txt,\u4e2d \u6587.txt,~/t.txt")
    assert code == 0 and "sweep: 3 finished" in out, err
    assert train(*words, "data.path=it's.txt", "hydra.sweep.dir=other")[0] == 0


@pytest.mark.parametrize(
    "values", ["choice('a','b')", "glob(*)", "'a b','c'", "a,b", "null,a", "[1,2]", "x/y-1.txt,*.txt"]
)
def test_the_grammar_of_a_sweep_is_left_alone(values):
    assert quote_free_text([f"data.path={values}"], sweep=True) == [f"data.path={values}"]


@given(st.text(st.characters(exclude_characters="\0${}", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_path_of_any_characters_is_taken_as_it_is_typed(path):
    if not path.strip() or path == "null" or path[0] in "'\"~" or re.match(r"[A-Za-z][\w+.-]*:/", path):
        return
    assert composed_config("data=file", f"data.path={path}").data.path == path


def test_an_address_is_told_from_a_file():
    for word in ("https://example.org/t.txt", "s3://b/t.txt", "file:///t.txt"):
        with pytest.raises(BadInput, match=r"data\.path: \S+ is an address, not a file: download it"):
            composed_config("data=file", f"data.path={word}")
    assert expand_path("C:/t.txt", "x") == "C:/t.txt" and expand_path(Path("t.txt"), "x") == "t.txt"
