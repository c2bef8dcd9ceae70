"""Runs on documents, from the command line to the samples."""

import json
import re
import signal
import sys

import pytest
import torch
from helpers.command_line import TINY, composed_config

import lstmlm
from lstmlm.checkpoints import checkpoint
from lstmlm.evaluation.scoring import evaluate, evaluate_pieces
from lstmlm.runs.assemble import assemble_portrait, build_model, make_streams
from lstmlm.runs.launch import train as call_train
from lstmlm.runs.prepare import prepare
from lstmlm.system.errors import BadInput
from lstmlm.text.corpus import read_corpus
from lstmlm.text.document_batches import IGNORED
from lstmlm.training import trainer

NAMES = [f"{a}{b}{c}{d}" for a in ("ann", "be", "carola") for b in "aeio" for c in ("n", "rr", "l") for d in ("a", "o")]
OWN = [word for word in TINY if not word.startswith("data.split=")] + ["data.split=[0.8,0.1,0.1]"]
TEXT = [*OWN, "data=file", "data.path=names.txt", "data.documents=line", "train.eval_every=5"]
TEXT = [word for word in TEXT if word != "sample.length=10"] + ["sample.length=120"]


def write_names(folder):
    """A text of short names, and some that are longer than a window."""
    long = ["carolannabert" * 3, "annabeolina" * 2]
    (folder / "names.txt").write_text("\n".join(NAMES + long * 3) + "\n")


@pytest.fixture
def names(tmp_path):
    write_names(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with names.txt and a run on it in run/."""
    folder = tmp_path_factory.mktemp("documents")
    write_names(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py"])
        assert call_train([*TEXT, "train.max_steps=10", "hydra.run.dir=run"]) == 0
    return folder


@pytest.fixture
def trained(kept, monkeypatch):
    monkeypatch.chdir(kept)
    return kept / "run"


def test_the_log_counts_documents_and_shows_some(trained):
    screen = (trained / "train.log").read_text()
    assert re.search(r" names\.txt: 78 documents: train 62, val 8, test 8$", screen, re.M)
    assert "\ufdd0" not in screen and "ufdd0" not in screen
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert any("\n" in row["sample"] for row in rows if "sample" in row)


def test_a_score_is_that_of_each_document_alone(trained):
    model = lstmlm.load(trained)
    documents = ["anna", "bo", "carola" * 9]
    alone = [model.score(document) for document in documents]
    assert [score.num_chars for score in alone] == [len(document) + 1 for document in documents]
    pieces = [torch.from_numpy(model.vocab.encode(f"\ufdd0{document}\ufdd0")) for document in documents]
    for order in ([0, 1, 2], [2, 0, 1]):
        together = evaluate_pieces(model.model, [pieces[k] for k in order])
        assert together.nats == pytest.approx(sum(score.nats for score in alone), abs=1e-5)
    assert evaluate(model.model, pieces[2]).nats == pytest.approx(alone[2].nats, abs=1e-5)


def test_evaluate_and_score_agree_on_a_file_of_documents(trained, kept, command):
    (kept / "other.txt").write_text("anna\ncarola\n\nbeno\n")
    code, out, _ = command("evaluate", str(trained), "--file", "other.txt", "--json")
    assert code == 0
    code, told, _ = command("score", str(trained), "other.txt", "--json")
    assert code == 0
    evaluated, scored = json.loads(out), json.loads(told)
    assert scored["num_chars"] == 5 + 7 + 5
    assert evaluated["nats_per_char"] == pytest.approx(scored["nats_per_char"], abs=1e-6)
    model = lstmlm.load(trained)
    assert scored["nats"] == pytest.approx(sum(model.score(name).nats for name in ("anna", "carola", "beno")), abs=1e-5)


def test_a_run_of_documents_that_is_stopped_again_and_again_ends_the_same(train, names, tmp_path, monkeypatch):
    words = [*TEXT, "train.max_epochs=1", "train.max_steps=null", "train.ema=0.9"]
    assert train(*words, "hydra.run.dir=whole")[0] == 0
    whole = checkpoint.load_checkpoint(tmp_path / "whole" / "last.safetensors")
    step = trainer.Trainer.train_on_batch

    def interrupted(self, X, Y):
        step(self, X, Y)
        if self.state.step % 6 == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", interrupted)
    codes = [train(*words, "hydra.run.dir=parts")[0]]
    while codes[-1] == 130:
        codes.append(train("resume=parts")[0])
    assert codes[-1] == 0 and len(codes) > 3
    parts = checkpoint.load_checkpoint(tmp_path / "parts" / "last.safetensors")
    assert whole.tensors.keys() == parts.tensors.keys()
    assert all(torch.equal(tensor, parts.tensors[name]) for name, tensor in whole.tensors.items())


def test_documents_are_printed_one_a_line_and_copies_are_counted(trained, command):
    code, out, err = command("generate", str(trained), "--documents", "5", "--seed", "3", "--length", "12")
    assert code == 0 and out.count("\n") == 5
    assert re.search(r"^note: \d of 5 stand word for word in the training text$", err, re.M)
    code, again, err = command("generate", str(trained), "--documents", "5", "--seed", "3", "--length", "12")
    assert again == out
    code, out, _ = command("generate", str(trained), "--documents", "3", "--prompt", "car", "--length", "9")
    assert code == 0 and all(line.startswith("car") for line in out.splitlines())


def test_a_sample_in_python_ends_with_its_document(trained):
    model = lstmlm.load(trained)
    texts = [model.generate("", length=1000, seed=seed, temperature=1.0) for seed in range(10)]
    assert all("\ufdd0" not in text and len(text) < 1000 for text in texts)
    assert model.generate("ann", length=50, seed=1).startswith("ann")


def test_documents_are_not_asked_of_a_model_of_one_stream(run_directory, command, trained):
    code, _, err = command("generate", str(run_directory), "--documents", "2")
    assert code == 2 and err.startswith("error: --documents: the model was trained on one stream")
    code, _, err = command("generate", str(trained), "--interactive")
    assert code == 2 and err.startswith("error: --interactive: the model writes documents")
    code, _, err = command("page", str(trained), "--out", "page.html")
    assert code == 2 and err.startswith("error: page: the model writes documents")


def test_documents_start_from_a_model_of_one_stream(train, names):
    assert train(*OWN, "data=file", "data.path=names.txt", "hydra.run.dir=stream")[0] == 0
    code, out, err = train(*TEXT, "init_from=stream", "hydra.run.dir=run")
    assert (code, err) == (0, "") and re.search(r"^characters: \d+ taken over, 0 new", out, re.M)


def test_baselines_are_counted_and_scored_over_documents(names, command, monkeypatch):
    monkeypatch.chdir(names)
    words = ["data=file", "data.path=names.txt", "data.documents=line", "data.split=[0.8,0.1,0.1]"]
    code, out, _ = command("baselines", *words, "--json")
    assert code == 0
    found = json.loads(out)
    part = read_corpus(composed_config(*words).data).pieces("val")
    assert found["num_chars"] == sum(len(piece) - 1 for piece in part)
    unigram = next(row["nats_per_char"] for row in found["rows"] if row["name"] == "unigram")
    assert 1.5 < unigram < 2.5 and min(row["nats_per_char"] for row in found["rows"]) < unigram


# Labels

OTHERS = ("data.path=", "train.max_steps=", "train.lr=")
LABELLED = [word for word in TEXT if not word.startswith(OTHERS)] + ["train.lr=0.05", "train.max_steps=40"]
LABELLED += ["data.column=word", "data.label=kind"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder with table.csv and a run on it in run/, whose documents are conditioned on their kind."""
    folder = tmp_path_factory.mktemp("labels")
    rows = [f"{word},high" for word in ("aa", "ab", "abba", "ba")] + [
        f"{word},low" for word in ("zz", "zy", "yzzy", "yz")
    ]
    (folder / "table.csv").write_text("\n".join(["word,kind", *rows * 20]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py"])
        assert call_train([*LABELLED, "data.path=table.csv", "hydra.run.dir=run"]) == 0
    return folder


def test_a_run_gives_its_model_the_label_with_every_character(labelled):
    prepared = prepare(composed_config(*LABELLED, f"data.path={labelled / 'table.csv'}"))
    vocab, streams = prepared.corpus.vocab, make_streams(prepared)
    X, Y = next(streams.epoch(torch.Generator().manual_seed(0)))
    for inputs, targets in zip(X, Y, strict=True):
        for idx in inputs[: int((targets != IGNORED).sum())].tolist():
            (character,), number = vocab.decode([idx % len(vocab)]), idx // len(vocab)
            label = list(vocab.labels)[number - 1]
            assert character in {"high": "ab", "low": "yz"}[label] + vocab.labels[label]
    assert build_model(prepared.config, vocab, prepared.device).num_labels == 2
    shown = assemble_portrait(prepared).ids[0]
    assert (shown >= len(vocab)).all() and (shown % len(vocab)).equal(prepared.corpus.ids["val"][: len(shown)])
    record = checkpoint.load_checkpoint(labelled / "run" / "last.safetensors").record
    assert record["model"]["num_labels"] == 2


def test_documents_are_those_of_their_label(labelled, command, monkeypatch):
    monkeypatch.chdir(labelled)
    letters = {}
    for label in ("high", "low"):
        code, out, _ = command("generate", "run", "--documents", "9", "--label", label, "--length", "20")
        assert code == 0 and out.count("\n") == 9
        letters[label] = {char for char in out if char.isalpha()}
    assert letters["high"] <= set("ab") and letters["low"] <= set("yz")
    code, out, err = command("generate", "run", "--documents", "9", "--length", "20")
    assert code == 0 and "no --label: documents with the first of the labels 'high', 'low'" in err
    assert {char for char in out if char.isalpha()} == letters["high"]
    model = lstmlm.load("run")
    assert set(model.generate("", 20, label="low")) <= set("yz")
    assert json.loads(command("generate", "run", "--label", "low", "--json", "--length", "9")[1])["label"] == "low"


def test_a_wrong_label_is_refused(labelled, command, monkeypatch, run_directory):
    monkeypatch.chdir(labelled)
    code, _, err = command("generate", "run", "--label", "hihg")
    assert (code, err) == (2, "error: --label: no such label: 'hihg': did you mean 'high'?\n")
    code, _, err = command("generate", str(run_directory), "--label", "high")
    assert code == 2 and err.startswith("error: --label: the model was trained without labels")


def test_guidance_writes_other_documents_of_the_label(labelled, command, monkeypatch):
    monkeypatch.chdir(labelled)
    words = ["generate", "run", "--documents", "9", "--label", "low", "--length", "20", "--temperature", "1"]
    plain, none, guided = (command(*words, *more)[1] for more in ([], ["--guidance", "0"], ["--guidance", "2"]))
    assert plain == none != guided and set(guided) <= set("yz\n")
    model, settings = lstmlm.load("run"), {"label": "low", "temperature": 1.0}
    assert model.generate("", 20, guidance=2, **settings) == guided.split("\n")[0]
    row = json.loads(command("generate", "run", "--label", "low", "--json", "--guidance", "2")[1])
    assert row["guidance"] == 2


def test_guidance_that_can_do_nothing_is_refused(labelled, command, monkeypatch, run_directory):
    monkeypatch.chdir(labelled)
    own = str(run_directory)
    for words, message in (
        (["run", "--guidance", "-1"], "must be 0 (the model's own text) or more, got -1"),
        (["run", "--guidance", "nan"], "must be 0 (the model's own text) or more, got nan"),
        (["run", "--guidance", "1", "--backend", "nn"], "cannot be had together with --backend: leave one out"),
        ([own, "--guidance", "1"], "the model was trained without labels (data.label): leave it out"),
    ):
        code, _, err = command("generate", *words)
        assert code == 2 and err.splitlines()[-1] == f"error: --guidance: {message}"
    for given, message in (
        ("x", "guidance: must be a number, 0 or more, got 'x'"),
        (-1, "guidance: must be a number, 0 or more, got -1"),
    ):
        with pytest.raises(BadInput, match=re.escape(message)):
            lstmlm.load("run").generate(guidance=given)
    with pytest.raises(BadInput, match="guidance: the model was trained without labels"):
        lstmlm.load(own).generate(guidance=1)


def test_a_label_is_given_and_not_scored(labelled, command, monkeypatch, tmp_path):
    monkeypatch.chdir(labelled)
    (labelled / "other.csv").write_text("word,kind\nabba,high\nzz,low\nab,low\n")
    code, told, _ = command("score", "run", "other.csv", "--json")
    assert code == 0
    row, model = json.loads(told), lstmlm.load("run")
    alone = [model.score("abba", "high"), model.score("zz", "low"), model.score("ab", "low")]
    assert row["num_chars"] == sum(score.num_chars for score in alone) == 5 + 3 + 3
    assert row["nats"] == pytest.approx(sum(score.nats for score in alone), abs=1e-5)
    assert model.score("ab", "high").nats < alone[2].nats
    (labelled / "new.csv").write_text("word,kind\nabba,higher\n")
    code, _, err = command("score", "run", "new.csv")
    assert (code, err) == (2, "error: data.label: no such label: 'higher': did you mean 'high'?\n")


def test_a_labelled_run_resumes_exactly(labelled, train, monkeypatch, tmp_path):
    whole = checkpoint.load_checkpoint(labelled / "run" / "last.safetensors")
    words = [*LABELLED, f"data.path={labelled / 'table.csv'}", "hydra.run.dir=parts"]
    step = trainer.Trainer.train_on_batch

    def interrupted(self, X, Y):
        step(self, X, Y)
        if self.state.step == 13:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "train_on_batch", interrupted)
    assert train(*words)[0] == 130
    assert train("resume=parts")[0] == 0
    parts = checkpoint.load_checkpoint(tmp_path / "parts" / "last.safetensors")
    assert all(torch.equal(tensor, parts.tensors[name]) for name, tensor in whole.tensors.items())
