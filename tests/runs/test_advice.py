"""What a run advises is the user's own command with one visible change, and it can be typed."""

import json
import re
import shlex

import pytest
from helpers.command_line import SMALL_RUN, composed_config

from lstmlm.runs.advice import CHANGES, advise
from lstmlm.runs.verdict import Finding
from lstmlm.system.dotted import flatten

# (verdict, the limit that ended the run, what was typed, what changes)
EXAMPLES = [
    ("falling", "train.max_epochs", [], {"train.max_epochs": 20}),
    ("falling", "train.max_seconds", ["train.max_seconds=8", "seed=3"], {"train.max_seconds": 24}),
    ("falling", "train.max_steps", ["train.max_epochs=null", "train.max_steps=1500000"], {"train.max_steps": 3000000}),
    ("unread", "train.max_seconds", ["train.max_seconds=60"], {"train.max_seconds": 180}),
    ("overfits", "train.max_epochs", ["data=file", "data.path=a (b).txt"], {"model.dropout": 0.4}),
    ("gap", "train.max_epochs", ["experiment=d2l"], {"model.dropout": 0.2}),
    ("level", "train.max_epochs", ["experiment=d2l"], {"model.num_hiddens": 512}),
    ("unsteady", "train.max_epochs", ["train.lr=1.0"], {"train.lr": 0.3}),
    ("diverged", "train.max_epochs", [], {"train.lr": 0.003}),
]


@pytest.mark.parametrize(("kind", "limit", "typed", "changed"), EXAMPLES, ids=lambda value: str(value)[:20])
def test_the_command_is_what_was_typed_with_one_setting_changed(kind, limit, typed, changed):
    before = composed_config(*typed)
    advice = advise(Finding(kind, "..."), before, limit, typed)
    words = advice.command[advice.command.index("train") + 1 :]
    now, then = flatten(composed_config(*words)), flatten(before)
    assert {key: value for key, value in now.items() if value != then[key]} == changed
    (key,) = changed
    assert advice.sentence == f"{key} was {then[key]:g}"
    assert [word for word in words if not word.startswith(f"{key}=")] == [
        word for word in typed if not word.startswith(f"{key}=")
    ]


def test_a_changed_word_stays_where_it_stood():
    typed = ["backend=nn", "train.max_seconds=20", "seed=1"]
    advice = advise(Finding("falling", "..."), composed_config(*typed), "train.max_seconds", typed)
    assert advice.command[-3:] == ["backend=nn", "train.max_seconds=60", "seed=1"]


def test_a_learning_rate_that_may_be_wrong_is_looked_for_with_the_same_settings():
    typed = ["experiment=d2l", "backend=nn"]
    advice = advise(Finding("unigram", "..."), composed_config(*typed), "train.max_epochs", typed)
    assert advice.command[-3:] == ["lr_find", *typed]


def test_the_directory_of_the_run_is_not_repeated():
    typed = ["hydra.run.dir=mine", "seed=1"]
    assert advise(Finding("level", "..."), composed_config("seed=1"), None, typed).command[-2:] == [
        "seed=1",
        "model.num_hiddens=512",
    ]


@pytest.mark.parametrize("typed", [None, ["resume=runs/x", "train.max_epochs=4"]])
def test_where_the_words_of_the_run_are_not_known_the_settings_are_written_out(typed):
    config = composed_config("backend=nn", "train.max_epochs=4")
    words = advise(Finding("falling", "..."), config, "train.max_epochs", typed).command
    assert sorted(words[words.index("train") + 1 :]) == ["backend='nn'", "train.max_epochs=8"] or sorted(
        words[words.index("train") + 1 :]
    ) == ["backend=nn", "train.max_epochs=8"]


@pytest.mark.parametrize("kind", ["learnt", "unclear"])
def test_a_verdict_that_calls_for_nothing_has_no_command(kind):
    assert advise(Finding(kind, "..."), composed_config(), "train.max_epochs", []).command == []


@pytest.mark.parametrize(
    ("kind", "limit", "typed"),
    [
        ("falling", "train.patience", ["train.patience=3"]),
        ("falling", None, []),
        ("overfits", "train.max_epochs", ["experiment=tide_clock_5min"]),
        ("gap", "train.max_epochs", ["model.dropout=0.5"]),
    ],
)
def test_what_was_tuned_or_cannot_be_prolonged_is_left_as_it_is(kind, limit, typed):
    assert advise(Finding(kind, "..."), composed_config(*typed), limit, typed).command == []


def test_every_change_has_an_example():
    assert set(CHANGES) == {kind for kind, *_ in EXAMPLES} | {"unigram"}


def test_the_command_of_a_real_run_runs(train, tmp_path):
    typed = (*SMALL_RUN, "backend=nn", "train.baselines=false")
    code, out, _ = train(*typed, "hydra.run.dir=run")
    words = shlex.split(re.search(r"^to try: +(.*)$", out, re.M)[1])
    assert code == 0 and "(train.max_steps was 40)" in out and "still falling" in out
    assert words[-len(typed) :] == [word if "max_steps" not in word else "train.max_steps=80" for word in typed]
    assert train(*words[-len(typed) :], "hydra.run.dir=again")[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["ended_by"] == "train.max_steps" and rows[-1]["step"] == 80
