"""`generate` needs numpy alone: where torch cannot be imported, it writes what it writes with torch."""

import json

import pytest
from helpers.command_line import TINY, shell

WITHOUT_TORCH = """
import sys

sys.modules["torch"] = None  # every import of it fails from here on
from lstmlm import cli

sys.exit(cli.main(sys.argv[1:]))
"""
WORDS = ("--prompt", "The tide ", "--length", "120", "--seed", "7", "--temperature", "0.9", "--samples", "2", "--jsonl")


def generate_without_torch(*words: str) -> str:
    done = shell("-c", WITHOUT_TORCH, "generate", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_text_of_every_cell_is_that_of_the_model_on_a_backend(train, command, tmp_path, cell):
    assert train(*TINY, f"model.cell={cell}", "model.num_layers=2", "hydra.run.dir=run")[0] == 0
    code, with_torch, _ = command("generate", "run", *WORDS, "--backend", "nn")
    assert code == 0
    texts = (generate_without_torch(str(tmp_path / "run"), *WORDS), with_torch)
    ours, theirs = ([json.loads(line) for line in text.splitlines()] for text in texts)
    assert [row["text"] for row in ours] == [row["text"] for row in theirs] and len(ours) == 2
    assert [row["log_probability"] for row in ours] == pytest.approx([row["log_probability"] for row in theirs])
    assert {row["backend"] for row in ours} == {None} and {row["backend"] for row in theirs} == {"nn"}


def test_documents_are_written_and_compared_with_the_training_text_without_torch(train, command, tmp_path):
    (tmp_path / "names.txt").write_text("anna\nbo\nbea\nabba\n" * 30)
    text = ["data=file", f"data.path={tmp_path / 'names.txt'}", "data.documents=line"]
    words = [word for word in TINY if not word.startswith("data.split=")]
    assert train(*words, *text, "data.split=[0.8,0.1,0.1]", "hydra.run.dir=run")[0] == 0
    asked = ("--documents", "4", "--seed", "3", "--length", "30")
    code, with_torch, note = command("generate", "run", *asked, "--backend", "nn")
    assert code == 0 and "stand word for word in the training text" in note
    assert generate_without_torch(str(tmp_path / "run"), *asked) == with_torch


@pytest.mark.parametrize("kind", ["bf16", "int8"])
def test_small_weights_need_no_torch_either(train, command, tmp_path, kind):
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    if command("generate", "run", *WORDS, "--weights", kind)[0] == 2:
        pytest.skip("there is no C compiler")
    row = json.loads(generate_without_torch(str(tmp_path / "run"), *WORDS, "--weights", kind).splitlines()[0])
    assert row["weights"] == kind and row["backend"] is None


def test_a_conversation_needs_no_torch_either():
    done = shell("-c", WITHOUT_TORCH, "generate", "tide_clock", "--interactive", input="The tide\n/top\n/undo\n")
    assert done.returncode == 0 and done.stdout.startswith("The tide") and "back at the beginning" in done.stdout


def test_a_file_that_is_refused_is_refused_without_torch_in_the_same_words(run_directory, command, tmp_path):
    data = bytearray((run_directory / "best.safetensors").read_bytes())
    data[-500] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(data)
    done = shell("-c", WITHOUT_TORCH, "generate", str(tmp_path / "damaged.safetensors"))
    assert (done.returncode, done.stdout) == (
        2,
        "",
    ) and "is damaged: its SHA-256 is not the recorded one" in done.stderr
    assert command("score", str(tmp_path / "damaged.safetensors"), "-") == (2, "", done.stderr)
