"""What a text costs, on the command line: in one stream or in windows, of a file or of standard input."""

import io
import json
import math
import re
import sys

import pytest
from helpers.command_line import SMALL_RUN

from lstmlm.commands import shading
from lstmlm.generation import native_stepper


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("\ufeffThe tide turned,\r\nand nobody said a word.", encoding="utf-8")  # read as a run's text is
    return path


def score(command, *words: str) -> dict:
    code, out, err = command("score", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_score_is_evaluate_of_the_same_file(run_directory, command, text):
    row = score(command, str(run_directory), str(text))
    same = json.loads(command("evaluate", str(run_directory), "--file", str(text), "--json")[1])
    assert row["num_chars"] == 39 and row["nats"] == pytest.approx(39 * row["nats_per_char"])
    for key in ("nats_per_char", "bits_per_char", "bits_per_byte", "perplexity", "num_chars"):
        assert row[key] == pytest.approx(same[key]), key


def test_standard_input_is_read_as_a_file_is(run_directory, command, text, monkeypatch):
    from_file = score(command, str(run_directory), str(text))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    assert score(command, str(run_directory), "-") == from_file


def test_the_characters_cost_together_what_the_text_costs(run_directory, command, text):
    row = score(command, str(run_directory), str(text), "--per-char")
    assert "".join(char for char, _ in row["chars"]) == "he tide turned,\nand nobody said a word."
    assert math.fsum(nats for _, nats in row["chars"]) == pytest.approx(row["nats"])
    code, out, _ = command("score", str(run_directory), str(text), "--per-char")
    assert code == 0 and len(out.splitlines()) == 41 and "line end" in out


def test_color_is_for_a_terminal(run_directory, command, text, monkeypatch):
    assert "\x1b" not in command("score", str(run_directory), str(text), "--color")[1]
    chars, nats = zip(*score(command, str(run_directory), str(text), "--per-char")["chars"], strict=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert command("score", str(run_directory), str(text), "--color")[1].startswith(shading.shade_text(chars, nats))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "(has 0 characters|is empty)"), (b"a", "has 1 characters"), (b"caf\xe9", r"not UTF-8 at byte 3 \(0xE9\)")],
)
def test_a_text_that_cannot_be_scored_is_one_line(run_directory, command, tmp_path, content, says):
    (tmp_path / "x.txt").write_bytes(content)
    code, out, err = command("score", str(run_directory), str(tmp_path / "x.txt"))
    assert (code, out) == (2, "") and re.fullmatch(rf"error: .*{says}.*\n", err), err
    assert command("score", str(run_directory), "nothere")[::2] == (2, "error: FILE: no such file: nothere\n")


def test_windows_are_scored_beside_the_stream_and_cost_more(run_directory, command):
    row = json.loads(command("evaluate", str(run_directory), "--windows", "8", "--json")[1])
    plain = json.loads(command("evaluate", str(run_directory), "--json")[1])
    assert row["nats_per_char"] == plain["nats_per_char"] and row["windows"] == 8
    assert row["windowed_nats_per_char"] > row["nats_per_char"]
    whole = json.loads(command("evaluate", str(run_directory), "--windows", "100000", "--json")[1])
    assert whole["windowed_nats_per_char"] == pytest.approx(whole["nats_per_char"], rel=1e-5)
    assert command("evaluate", str(run_directory), "--windows", "0")[::2] == (
        2,
        "error: --windows: must be 1 or more, got 0\n",
    )


def test_a_split_of_many_pieces_trains_and_is_scored_piece_by_piece(train, command):
    small = [word for word in SMALL_RUN if not word.startswith("data.split")]
    assert train(*small, "train.max_steps=4", "train.eval_every=4", "data.split=charrnn", "hydra.run.dir=run")[0] == 0
    row = json.loads(command("evaluate", "run", "--json")[1])
    columns = 164_017 // 2500
    assert row["split_name"] == "charrnn" and row["num_chars"] == 50 * (50 * (columns - int(columns * 0.95)) - 1)


def test_a_text_that_cannot_be_read_is_named_by_the_option_that_gave_it(run_directory, command, tmp_path, monkeypatch):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 au lait, s'il vous pla\xeet")
    (tmp_path / "cut.gz").write_bytes(b"\x1f\x8b\x08")
    run, latin, cut = str(run_directory), str(tmp_path / "latin.txt"), str(tmp_path / "cut.gz")
    remedy = r".*convert it to UTF-8, the encoding of the run's own text"
    byte = rf"is not UTF-8 at byte 3 \(0xE9\): {remedy}.*\n"
    assert re.fullmatch(rf"error: FILE: {latin} {byte}", command("score", run, latin)[2])
    assert re.fullmatch(rf"error: --file: {latin} {byte}", command("evaluate", run, "--file", latin)[2])
    assert re.fullmatch(rf"error: --file: {latin} {byte}", command("evaluate", run, "--split=val", "--file", latin)[2])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9 au lait, il vous pla\xeet")))
    assert re.fullmatch(rf"error: FILE: standard input {byte}", command("score", run, "-")[2])
    assert command("score", run, cut)[2].startswith(f"error: FILE: {cut} is not a whole gzip file: ")
    assert command("evaluate", run, "--file", cut)[2].startswith(f"error: --file: {cut} is not a whole gzip file: ")
    (tmp_path / "empty.txt").write_text("")
    empty = str(tmp_path / "empty.txt")
    assert command("evaluate", run, "--file", empty)[2] == f"error: --file: {empty} is empty: give a text file\n"
    assert command("evaluate", run, "--file", "nothere")[2] == "error: --file: no such file: nothere\n"


@pytest.mark.parametrize("kind", ["bf16", "int8"])
def test_small_weights_are_scored_beside_float32(run_directory, command, text, kind):
    """The steps that `generate --weights` takes, on one stream and on windows; the difference is what they cost."""
    if native_stepper.find_kernel() is None:
        pytest.skip("there is no C compiler")
    run, words = str(run_directory), ("--weights", kind)
    row, exact = score(command, run, str(text), *words), score(command, run, str(text))
    assert row["float32_nats_per_char"] == pytest.approx(exact["nats_per_char"]) and "weights" not in exact
    assert row["nats_per_char"] != exact["nats_per_char"]
    assert row["nats_per_char"] == pytest.approx(exact["nats_per_char"], abs=1e-2)
    same = json.loads(command("evaluate", run, "--file", str(text), *words, "--windows", "8", "--json")[1])
    whole = json.loads(command("evaluate", run, "--file", str(text), "--windows", "8", "--json")[1])
    for key in ("nats_per_char", "weights", "float32_nats_per_char", "backend"):
        assert same[key] == row[key], key
    assert same["windowed_nats_per_char"] == pytest.approx(whole["windowed_nats_per_char"], abs=1e-2)
    cost = row["nats_per_char"] - row["float32_nats_per_char"]
    for asked in (("score", run, str(text)), ("evaluate", run, "--file", str(text))):
        assert f"{kind} weights cost {cost:+.5f} nats per character: float32 needs " in command(*asked, *words)[1]


@pytest.mark.parametrize("words", [["score", "RUN", "-"], ["evaluate", "RUN"], ["generate", "RUN"]])
def test_small_weights_are_refused_with_a_backend(run_directory, command, words):
    words = [str(run_directory) if word == "RUN" else word for word in words]
    says = "error: --weights: int8 is computed by the steps in C, on no backend: leave --backend out\n"
    assert command(*words, "--weights", "int8", "--backend", "nn") == (2, "", says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["RUN", "--adaptive"], "int8 weights cannot learn: leave --weights or --adaptive out"),
        (["RUN", "RUN"], "int8 takes one run, got 2: score each by itself"),
    ],
)
def test_small_weights_are_refused_where_they_cannot_serve(run_directory, command, words, says):
    words = [str(run_directory) if word == "RUN" else word for word in words]
    assert command("evaluate", *words, "--weights", "int8") == (2, "", f"error: --weights: {says}\n")
