"""A model of bytes: its prompts are bytes, its text goes to files and pipes as bytes, and no byte is lost."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.command_line import ROOT
from helpers.forms import make_model
from hypothesis import given
from hypothesis import strategies as st

from lstmlm import cli
from lstmlm.checkpoints import checkpoint
from lstmlm.generation.conversation import Conversation
from lstmlm.generation.from_model import ModelStepper
from lstmlm.generation.writer import Writer, write_pieces
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.escape import escape_controls
from lstmlm.text.vocab import ByteVocab, Vocab

VOCAB = ByteVocab()
# Characters of one to four bytes, and bytes that are no character
TEXT = ("a \u00e9 \u4e2d \U0001f600\n".encode() + b"\xb0\xff") * 60
TINY = ["data=file", "data.path=my.bin", "data.vocab=byte", "backend=nn", "model.num_hiddens=4", "train.max_steps=2"]
TINY += ["train.eval_every=2", "sample.length=5", "data.batch_size=2", "data.num_steps=8", "train.baselines=false"]
HOT = ("--temperature", "9", "--seed", "3", "--length", "200")


@pytest.fixture
def run(train, tmp_path):
    """A run on bytes in run/."""
    (tmp_path / "my.bin").write_bytes(TEXT)
    assert train(*TINY, "hydra.run.dir=run")[0] == 0
    return tmp_path / "run"


def expected_bytes(run, prompt: bytes) -> bytes:
    """The text of HOT, from the ids themselves."""
    model, vocab = checkpoint.load_checkpoint(run / "best.safetensors").build()
    writer = Writer(ModelStepper(model), SamplingSettings(temperature=9.0), [3], vocab.unk)
    writer.read(vocab.encode(prompt))
    return prompt + bytes(int(drawn.ids[0]) for drawn in writer.write(200))


def test_files_and_pipes_get_the_bytes_and_a_prompt_is_bytes(run, command, tmp_path):
    prompt = b"\xe2\x82 caf\xe9 \xc3\xa9\xf0\x9f"
    (tmp_path / "prompt").write_bytes(prompt)
    expected = expected_bytes(run, prompt)
    words = ("generate", "run", *HOT, "--prompt-file", "prompt")
    assert command(*words, "--out", "out.bin") == (0, "", "")
    assert (tmp_path / "out.bin").read_bytes() == expected
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    piped = subprocess.run([sys.executable, "-m", "lstmlm", *words], cwd=tmp_path, env=environment, stdout=-1)
    assert piped.stdout == expected
    row = json.loads(command(*words, "--json")[1])
    assert VOCAB.to_file(row["text"]) == expected


def test_a_terminal_gets_escapes_of_the_bytes():
    assert escape_controls("caf\udce9 \udcb0\u00e9\ud800") == "caf\\xe9 \\xb0\u00e9\\ud800"


def test_each_byte_is_scored_and_shown_as_the_byte_that_it_is(run, command, tmp_path):
    (tmp_path / "x").write_bytes("\u00e9\xe9\n".encode() + b"\xff\r\n")
    row = json.loads(command("score", "run", "x", "--json", "--per-char")[1])
    assert [char for char, _ in row["chars"]] == ["\udca9", "\udcc3", "\udca9", "\n", "\udcff", "\r", "\n"]
    assert row["num_chars"] == 7 and row["bits_per_byte"] == row["bits_per_char"]
    shown = command("score", "run", "x", "--per-char")[1]
    assert "\\xa9" in shown and "\u00c3" not in shown


@given(st.binary(min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=3))
def test_no_byte_is_lost_wherever_a_text_is_cut(data, cuts):
    """As pieces of one text, from decoders that are copied at each cut."""
    decoder, pieces = VOCAB.make_decoder(), []
    for at, byte in enumerate(data):
        if at in cuts:
            before = decoder
            decoder = before.copy()
            before(0x80)  # which changes nothing in the copy
        pieces.append(decoder(byte))
    text = "".join(pieces) + decoder.finish()
    assert VOCAB.to_file(text) == data and text == data.decode("utf-8", "surrogateescape")


def samples_of(seeds: list[int], length: int) -> list[str]:
    writer = Writer(ModelStepper(make_model("scratch", vocab_size=256)), SamplingSettings(temperature=3.0), seeds, None)
    writer.read(VOCAB.encode("\u00e9"))
    texts = [""] * len(seeds)
    for pieces, _ in write_pieces(writer, VOCAB, length):
        texts = [text + (piece or "") for text, piece in zip(texts, pieces, strict=True)]
    return texts


def test_a_text_that_ends_inside_a_character_has_all_its_bytes():
    for length in (1, 7, 30):
        assert {len(VOCAB.to_file(text)) for text in samples_of(list(range(20)), length)} == {length}


class Dictated(Writer):
    """A writer that writes given bytes."""

    given = b""

    def write(self, length):
        from lstmlm.generation.writer import Block, Drawn

        taken, self.given = self.given[: int(length)], self.given[int(length) :]
        for byte in taken:
            yield Drawn(np.array([byte]), Block(np.array([[byte]]), np.zeros((1, 1, 256))), 0)


@given(st.binary(min_size=1, max_size=30), st.integers(1, 7))
def test_a_character_may_be_cut_between_two_turns(data, length):
    writer = Dictated(ModelStepper(make_model("scratch", vocab_size=256)), SamplingSettings(), [0], None)
    writer.given = data
    conversation = Conversation(writer, VOCAB, length, (), str)
    shown = "".join(piece for _ in range(0, len(data), length) for piece, _ in conversation.continue_text(""))
    whole = shown + conversation.decoder.finish()
    assert whole == conversation.text + whole[len(conversation.text) :] == data.decode("utf-8", "surrogateescape")


def test_what_was_held_back_comes_before_the_next_prompt_and_into_a_saved_file(tmp_path):
    writer = Dictated(ModelStepper(make_model("scratch", vocab_size=256)), SamplingSettings(), [0], None)
    writer.given = b"ab\xe2\x82\xac"
    conversation = Conversation(writer, VOCAB, 4, (), str)
    assert "".join(piece for piece, _ in conversation.continue_text("")) == "ab"
    conversation.save(str(tmp_path / "saved"))
    assert (tmp_path / "saved").read_bytes() == b"ab\xe2\x82"
    assert "".join(piece for piece, _ in conversation.continue_text("x")) == "\udce2\udc82x\udcac"
    conversation.undo()
    assert conversation.text == "ab" and conversation.decoder.finish() == "\udce2\udc82"


def test_a_line_of_a_conversation_may_be_any_bytes(run, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert cli.main(["generate", "run", "--interactive", "--length", "0"]) == 0
    assert written.getvalue() == b"caf\xe9\n"


def test_a_text_of_characters_is_written_as_before():
    assert Vocab("ab\ud800").to_file("a\ud800\u00e9") == b"a\\ud800\xc3\xa9"
