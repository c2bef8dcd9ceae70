"""A run on a text whose characters have several bytes: every figure divides by the right number."""

import json
import math

import pytest
from helpers.command_line import TINY

from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.evaluation import dynamic
from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.model.gates import collect_gate_openings
from lstmlm.runs.assemble import build_model
from lstmlm.settings.check import config_from_flat
from lstmlm.system.dotted import flatten
from lstmlm.text.corpus import read_corpus
from lstmlm.text.vocab import restore_vocab

# The validation part begins with a character that the training part lacks, and has it once more
PARTS = {"train": "naïve café, " * 20, "val": "ж" + "né café ж " * 5, "test": "vin café " * 6}
BYTES_PER_CHAR = {name: len(text.encode()) / len(text) for name, text in PARTS.items()}


@pytest.fixture
def run(train, tmp_path):
    for name, text in PARTS.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    paths = [f"data.{key}={name}.txt" for key, name in (("path", "train"), ("val_path", "val"), ("test_path", "test"))]
    words = [word for word in TINY if not word.startswith("data.split")]
    code, _, err = train(*words, "data=file", *paths, "model.dropout=0.5", "hydra.run.dir=run")
    assert code == 0, err
    return tmp_path / "run"


def read_rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_bits_per_byte_are_those_of_the_parts_own_bytes(run, command):
    assert len(set(BYTES_PER_CHAR.values()) - {1.0}) == 3
    *evaluations, final = read_rows(run)
    for row in evaluations:
        assert row["bpb/val"] == pytest.approx(row["bpc/val"] / BYTES_PER_CHAR["val"])
    for name in ("val_last", "val_best", "test_best"):
        assert final[f"bpb/{name}"] == pytest.approx(final[f"bpc/{name}"] / BYTES_PER_CHAR[name.partition("_")[0]])
    for split, text in PARTS.items():
        row = json.loads(command("evaluate", "run", "--split", split, "--adaptive", "--json")[1])
        assert row["num_chars"] == len(text) - 1
        for figures in (row, row["adaptive"]):
            assert figures["bits_per_byte"] == pytest.approx(figures["bits_per_char"] / BYTES_PER_CHAR[split])
            assert figures["bits_per_char"] == pytest.approx(figures["nats_per_char"] / math.log(2))


def test_unknown_characters_are_counted_among_the_scored_ones(run, command):
    for words in (["--split", "val"], ["--file", "val.txt"]):
        row = json.loads(command("evaluate", "run", *words, "--json")[1])
        assert row["num_unknown"] == PARTS["val"][1:].count("ж") == 5


def test_adaptive_statistics_are_of_the_training_part(run, command, monkeypatch):
    collect, seen = dynamic.collect_gradient_statistics, []

    def watched(model, pieces, num_steps):
        seen.extend(pieces)
        return collect(model, seen, num_steps)

    monkeypatch.setattr("lstmlm.evaluation.adaptive_evaluation.collect_gradient_statistics", watched)
    assert command("evaluate", "run", "--split", "val", "--adaptive")[0] == 0
    vocab = restore_vocab(load_checkpoint(run / "best.safetensors").record["vocab"])
    assert "".join(vocab.decode(piece) for piece in seen) == PARTS["train"]


def test_the_last_evaluation_has_the_figures_of_the_saved_weights_without_dropout(run):
    loaded = load_checkpoint(run / "last.safetensors")
    config = config_from_flat(flatten(loaded.record["config"]))
    corpus, row = read_corpus(config.data), read_rows(run)[-2]
    model = build_model(config, corpus.vocab, "cpu")
    model.load_book_weights(loaded.weights)
    model.eval()
    assert row["loss/val"] == pytest.approx(evaluate_pieces(model, corpus.pieces("val")).nats_per_char, rel=1e-6)
    (gates,) = collect_gate_openings(model, corpus.ids["val"][None])
    for gate, opening in gates.items():
        assert row[f"gates/layer0_{gate}"] == pytest.approx(opening.mean().item(), rel=1e-6)
