"""A run with init_from starts from trained weights, on another text, and is a run like any other from then on."""

import hashlib
import re
import shutil
import sys

import pytest
import torch
from helpers.command_line import TINY

import lstmlm
from lstmlm.checkpoints import checkpoint
from lstmlm.runs.launch import train as call_train
from lstmlm.settings.hydra_yaml import from_yaml

OWN = [word for word in TINY if not word.startswith(("model.", "data.split="))] + ["data.split=[0.9,0.1,0]"]
TEXT = ["data=file", "data.path=my.txt"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with a run in first/, its text, and my.txt, whose characters are in part others."""
    folder = tmp_path_factory.mktemp("init_from")
    (folder / "first.txt").write_text("the tide comes in, the tide goes out. " * 20)
    (folder / "my.txt").write_text("The sea is deep; it comes and goes. " * 20)
    words = ["model.num_hiddens=8", "model.num_layers=2", "model.dropout=0.1", "hydra.run.dir=first"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py"])
        assert call_train([*OWN, *words, "data=file", "data.path=first.txt"]) == 0
    return folder


@pytest.fixture
def trained(kept, tmp_path, monkeypatch):
    """The run, in a copy of the folder, where the user stands."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "first"


def settings(directory):
    return from_yaml((directory / "config.yaml").read_text())


@pytest.fixture
def no_steps(monkeypatch):
    """Training ends before its first step, with a checkpoint of step 0."""

    def interrupted(self, X, Y):
        raise KeyboardInterrupt

    monkeypatch.setattr("lstmlm.training.trainer.Trainer.train_on_batch", interrupted)


def test_a_run_begins_with_the_weights_of_each_character(train, trained, tmp_path, no_steps):
    assert train(*OWN, *TEXT, "init_from=first", "hydra.run.dir=second")[0] == 130
    before, now = (
        checkpoint.load_checkpoint(trained / "best.safetensors"),
        checkpoint.load_checkpoint(tmp_path / "second" / "last.safetensors"),
    )
    vocabs = before.record["vocab"], now.record["vocab"]
    common = [token for token in vocabs[1] if token in vocabs[0]]
    assert len(common) > 8 and [vocabs[0].index(token) for token in common] != [
        vocabs[1].index(token) for token in common
    ]
    for token in common:
        old, new = vocabs[0].index(token), vocabs[1].index(token)
        assert torch.equal(now.weights["layers.0.W_xf"][new], before.weights["layers.0.W_xf"][old])
        assert torch.equal(now.weights["W_hq"][:, new], before.weights["W_hq"][:, old])
    assert torch.equal(now.weights["layers.1.W_hi"], before.weights["layers.1.W_hi"])
    assert not now.optimizer or not any(
        tensor.any() for name, tensor in now.optimizer.items() if name.startswith("exp_avg")
    )


def test_the_log_says_what_becomes_of_the_characters_and_the_checkpoint_where_the_weights_come_from(
    train, trained, tmp_path
):
    code, out, err = train(*OWN, *TEXT, "init_from=first", "hydra.run.dir=second")
    assert (code, err) == (0, "")
    assert re.search(r"^characters: 13 taken over, 4 new, 2 lost$", out, re.M)
    assert re.search(r"^new: ('[aTp;]' ?){4}$", out, re.M) and re.search(r"^lost: ('[u,]' ?){2}$", out, re.M)
    origin = checkpoint.load_checkpoint(tmp_path / "second" / "best.safetensors").record["started_from"]
    best = trained / "best.safetensors"
    assert origin == {
        "path": str(best),
        "sha256": hashlib.sha256(best.read_bytes()).hexdigest(),
        "step": checkpoint.load_checkpoint(best).record["step"],
        "text": "file",
    }


def test_the_model_is_that_of_the_file_and_all_else_is_new(train, trained, tmp_path):
    assert train(*OWN, *TEXT, "init_from=first", "train.lr=0.02", "hydra.run.dir=second")[0] == 0
    now = settings(tmp_path / "second")
    assert (now["model.num_hiddens"], now["model.num_layers"], now["model.dropout"]) == (8, 2, 0.1)
    assert (now["train.lr"], now["data.path"]) == (0.02, str(tmp_path / "my.txt"))
    typed = ["model.dropout=0.4", "model.num_layers=2"]
    assert train(*OWN, *TEXT, "init_from=first", *typed, "hydra.run.dir=third")[0] == 0
    assert settings(tmp_path / "third")["model.dropout"] == 0.4


@pytest.mark.parametrize("word", ["model.num_hiddens=9", "model.cell=gru", "model.embedding_dim=4"])
def test_another_shape_is_refused_by_name(train, trained, tmp_path, word):
    code, _, err = train(*OWN, *TEXT, "init_from=first", word, "hydra.run.dir=second")
    name, _, value = word.partition("=")
    assert code == 2 and err.startswith(f"error: {name}: {value} was given, and init_from=first has ")
    assert err.count("\n") == 1 and not (tmp_path / "second").exists()


def test_a_resumed_run_needs_the_file_no_more_and_ends_the_same(train, trained, tmp_path):
    words = [*OWN, *TEXT, "init_from=first", "model.dropout=0.3"]
    constant = ["train.schedule=constant", "train.warmup=0", "train.max_steps=6", "train.ema=0.9"]
    assert train(*words, *constant, "hydra.run.dir=whole")[0] == 0
    assert train(*words, *constant, "train.max_steps=2", "hydra.run.dir=parts")[0] == 0
    shutil.rmtree(trained)
    code, _, err = train("resume=parts", "init_from=first", "train.max_steps=6")
    assert (code, err) == (0, "")
    whole, parts = (checkpoint.load_checkpoint(tmp_path / run / "last.safetensors") for run in ("whole", "parts"))
    assert whole.tensors.keys() == parts.tensors.keys()
    assert all(torch.equal(tensor, parts.tensors[name]) for name, tensor in whole.tensors.items())
    assert whole.record["started_from"] == parts.record["started_from"]


def test_auto_starts_from_the_weights_once(train, trained):
    words = [*OWN, *TEXT, "init_from=first", "resume=auto", "hydra.run.dir=second"]
    code, out, _ = train(*words)
    assert code == 0 and "taken over" in out
    code, out, err = train(*words, "train.max_steps=6")
    assert (code, err) == (0, "") and "resuming from step 4" in out and "taken over" not in out


def test_a_text_that_has_grown_is_trained_on_from_the_trained_weights(train, trained, tmp_path):
    with open(tmp_path / "first.txt", "a") as text:
        text.write("The sea is deep. ")
    code, _, err = train("resume=first", "train.max_steps=8", "data.path=first.txt")
    assert code == 2 and "init_from=first in place of resume=first" in err and err.count("\n") == 1
    code, out, err = train(*OWN, "data=file", "data.path=first.txt", "init_from=first", "hydra.run.dir=second")
    assert (code, err) == (0, "") and " taken over, " in out


def test_python_starts_from_a_run_too(trained, tmp_path):
    run = lstmlm.train(*OWN, data="my.txt", init_from=trained, directory=tmp_path / "second")
    assert run.model.model.config.num_hiddens == 8
    assert run.model.record["started_from"]["path"] == str(trained / "best.safetensors")


def test_a_file_and_the_latest_run_are_starts_too(train, trained, tmp_path):
    shutil.copy(trained / "last.safetensors", tmp_path / "alone.safetensors")
    (tmp_path / "runs").mkdir()
    shutil.copytree(trained, tmp_path / "runs" / "one")
    for name in ("alone.safetensors", "latest", "one"):
        code, _, err = train(*OWN, *TEXT, f"init_from={name}", f"hydra.run.dir=from_{name}")
        assert (code, err) == (0, "")


def damage(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["init_from=nothere"], "init_from: no such file: nothere: "),
        (["init_from="], "init_from: is empty: give a path"),
        (["init_from=my.txt"], "init_from: my.txt "),
        (
            ["init_from=first", "data.vocab=byte"],
            "data.vocab: is byte, the model of init_from=first reads characters: ",
        ),
        (["init_from=damaged.safetensors"], "init_from: damaged.safetensors is damaged"),
    ],
)
def test_a_start_that_cannot_be_is_one_line(train, trained, tmp_path, words, says):
    shutil.copy(trained / "best.safetensors", tmp_path / "damaged.safetensors")
    damage(tmp_path / "damaged.safetensors")
    code, _, err = train(*OWN, *TEXT, *words, "hydra.run.dir=second")
    assert code == 2 and err.startswith(f"error: {says}") and err.count("\n") == 1
    assert not (tmp_path / "second").exists()


def test_a_rate_is_looked_for_from_the_trained_weights(trained, command):
    words = ["threads=1", *TEXT, "init_from=first", "data.batch_size=4", "data.num_steps=8", "data.split=[0.9,0.1,0]"]
    code, out, err = command("lr_find", "--steps", "100", *words)
    assert (code, err) == (0, "") and "init_from=first" in out
    assert command("lr_find", "--steps", "100", *words, "model.num_hiddens=9")[0] == 2
