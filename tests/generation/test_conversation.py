"""A conversation keeps its state: turns are one text, a turn taken back leaves no trace, a mistake changes nothing."""

import io
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.command_line import ROOT
from helpers.forms import make_model

from lstmlm.generation.conversation import Conversation
from lstmlm.generation.from_model import ModelStepper, generate
from lstmlm.generation.writer import Writer
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import Vocab

LENGTH = 25
VOCAB = Vocab("aaabbc\nde")
AS_USED = ("--temperature", "0.8", "--seed", "5", "--length", str(LENGTH))


@pytest.fixture
def talk(command, run_directory, monkeypatch):
    """Hold a conversation over a pipe -> (what it wrote, what it complained of); it must end with 0."""

    def call(*lines: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        data = "".join(line + "\n" for line in lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        code, out, err = command("generate", str(run_directory), "--interactive", *AS_USED, *options)
        assert code == 0
        return out, err

    return call


@pytest.fixture
def at_once(command, run_directory):
    """The text of `generate` for a prompt, `turns` turns long."""
    return lambda prompt, turns=1: command(
        "generate", str(run_directory), *AS_USED[:4], "--length", str(turns * LENGTH), "--prompt", prompt
    )[1]


def test_a_turn_writes_prompt_and_text_and_an_empty_line_continues_it(talk, at_once):
    whole = at_once("The tide", turns=3)
    cuts = [whole[: 8 + LENGTH], whole[8 + LENGTH : 8 + 2 * LENGTH], whole[8 + 2 * LENGTH :]]
    assert talk("The tide", "", "") == ("\n".join([*cuts, ""]), "")
    assert talk("", "")[0].replace("\n", "") == at_once("", turns=2).replace("\n", "")


def test_a_prompt_is_read_after_the_text_so_far(talk, command, run_directory):
    """The second turn is what greedy `generate` writes after the whole text so far."""
    greedy = ("--temperature", "0")
    out, _ = talk("The tide", "came in", options=greedy)
    assert out[8 + LENGTH + 1 :].startswith("came in")
    so_far = out[: 8 + LENGTH] + "came in"
    once = command("generate", str(run_directory), *greedy, "--length", str(LENGTH), "--prompt", so_far)[1]
    assert out == so_far[: 8 + LENGTH] + "\n" + once[8 + LENGTH :] + "\n"


def test_undo_takes_turns_back_one_by_one_and_leaves_no_trace(talk):
    plain, _ = talk("The tide", "The bell")
    first = plain[: 8 + LENGTH]
    out, err = talk("The tide", "The clock", "", "/undo", "/undo", "The bell", "/undo", "/undo", "/undo", "The tide")
    said = [line for line in out.split("\n") if line.startswith("back at ")]
    assert len(said) == 4 and said[1].endswith(repr(first[-10:])[1:]) and said[3] == "back at the beginning"
    assert out.count(plain[8 + LENGTH :]) == 1, "the second turn after two undone is the second turn"
    assert out.endswith(first + "\n") and err == "error: /undo: there is no turn to take back\n"


def test_temperature_and_seed_are_for_the_turns_that_come(talk, at_once):
    cold, hot = at_once("The tide"), talk("/temp 0", "The tide")[0]
    assert hot.startswith("temperature 0\nThe tide") and hot.split("\n", 1)[1] != cold + "\n"
    assert talk("/temp 0", "/temp 0.8", "The tide")[0] == "temperature 0\ntemperature 0.8\n" + cold + "\n"
    other = talk("The tide", "/undo", "/seed 6", "The tide", "/undo", "/seed 5", "The tide")[0]
    assert other.count(cold) == 2 and other.count("The tide") >= 3
    undone = talk("/temp 0", "The tide", "/undo", "The tide")[0]  # the temperature is not taken back
    assert undone.split("\n", 1)[1].count(hot.split("\n", 1)[1]) == 2


def test_top_shows_the_most_probable_next_characters_and_changes_nothing(talk, command, run_directory):
    out, _ = talk("/top", "The tide", "/top", "")
    rows = re.findall(r"^ *([\d.]+)%  (.*)$", out, flags=re.M)
    shares = [float(share) for share, _ in rows]
    assert shares[:10] == sorted(shares[:10], reverse=True) and shares[10:] == sorted(shares[10:], reverse=True)
    assert len(rows) == 20
    plain = talk("The tide", "")[0]
    assert re.sub(r"^ *[\d.]+%  .*\n", "", out, flags=re.M) == plain
    greedy = command(
        "generate", str(run_directory), "--prompt", plain[: 8 + LENGTH], "--length", "1", "--temperature=0"
    )
    assert rows[10][1] == repr(greedy[1][-1])


def test_reset_starts_an_empty_text_and_save_writes_the_text(talk, at_once, tmp_path):
    first = at_once("The tide", turns=2)
    out, _ = talk("The bell", "/reset", "The tide", "", f"/save {tmp_path / 'the text.txt'}", "/reset", "/undo")
    assert (tmp_path / "the text.txt").read_text() == first
    assert f"at the beginning\n{first[: 8 + LENGTH]}\n" in out
    assert f"{len(first)} characters in {tmp_path / 'the text.txt'}\n" in out


def test_a_turn_ends_with_a_stop_string(talk, at_once):
    whole = at_once("The tide", turns=9)
    assert "e" in whole[8:]
    out, _ = talk("The tide", "", options=("--stop", "e", "--length", "500"))
    first = whole[: whole.index("e", 8) + 1]
    assert out.startswith(first + "\n")


def test_quit_ends_it_and_help_says_every_command(talk):
    assert talk("/quit", "The tide") == ("", "")
    assert all(name in talk("/help")[0] for name in ("/undo", "/temp", "/top", "/reset", "/save", "/help", "/quit"))


def test_a_prompt_given_is_the_first_turn(talk):
    assert talk("", options=("--prompt", "The tide")) == talk("The tide", "")


# A model whose texts differ at once when anything differs


def held(*lines: str, seed: int = 0) -> tuple[list[str], Conversation]:
    """What each turn brought, and the conversation."""
    settings = SamplingSettings(temperature=1)
    writer = Writer(ModelStepper(make_model("nn", num_layers=2)), settings, [seed], VOCAB.unk)
    conversation = Conversation(writer, VOCAB, 60, (), str)
    return ["".join(piece for piece, _ in conversation.take_turn(line)) for line in lines], conversation


def test_top_before_the_first_turn_leaves_the_conversation_unchanged():
    turns, conversation = held("/top", "ab", "/top")
    plain, unseen = held("ab", "/top")
    assert turns[1:] == plain and np.array_equal(conversation.writer.logits, unseen.writer.logits)


def test_another_seed_is_that_seed_from_its_first_number_on():
    turns, _ = held("ab", "/seed 7", "cd")
    assert turns[2] == generate(make_model("nn", num_layers=2), VOCAB, turns[0] + "cd", 60, 1.0, 7)[len(turns[0]) :]


# (line, what is said on stderr)
MISTAKES = [
    ("/what", r"/what: no such command: there are /undo, .*, /quit"),
    ("/temp", r"/temp: '' is not a number"),
    ("/temp -1", r"/temp: must be 0 .* or more, got -1\.0"),
    ("/temp nan", r"/temp: must be 0 .*"),
    ("/seed x", r"/seed: 'x' is not a number"),
    ("/seed -1", r"/seed: must be 0 or more, got -1"),
    ("/undo", r"/undo: there is no turn to take back"),
    ("/save", r"/save: needs the name of a file"),
    ("/save /nothere/x", r"/save: /nothere/x: No such file or directory"),
    ("naïve", r"prompt: character '\\xef' \(U\+00EF\) at position 2 \(nearest: 'i'\) is not in the vocabulary: .*"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(talk, line, says):
    out, err = talk(line, "The tide", "")
    assert out == talk("The tide", "")[0] and re.fullmatch(rf"error: {says}\n", err), err


def test_bytes_that_are_no_text_are_a_mistake_like_any_other(command, run_directory, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xffb\n"), encoding="utf-8"))
    code, out, err = command("generate", str(run_directory), "--interactive")
    assert (code, out) == (0, "") and re.fullmatch(r"error: prompt: character '\\udcff' .*\n", err)


def test_on_a_terminal_it_asks_and_ends_with_the_end_of_input(run_directory):
    ours, its = pty.openpty()
    words = [sys.executable, "-m", "lstmlm", "generate", str(run_directory), "--interactive", "--length", "5"]
    with subprocess.Popen(words, cwd=ROOT, stdin=its, stdout=its, stderr=its) as process:
        seen = b""
        for line in (b"The tide\n", b"\x04"):
            before = len(seen)
            while b"> " not in seen[before:]:
                seen += os.read(ours, 1000)
            os.write(ours, line)
        assert process.wait(timeout=60) == 0
    os.close(its)
    os.close(ours)
    assert seen.count(b"The tide") == 2  # as it was typed, and then with what follows
