"""Text fits the columns of the terminal, and nothing of it is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.system.box import draw_box
from lstmlm.system.columns import count_columns, measure_reading_width, measure_width, wrap, wrap_message
from lstmlm.system.shell_words import break_command

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("aé中 \n \u0301\u200f"), max_size=300)


@given(texts, st.integers(8, 100))
def test_wrapped_lines_fit_and_have_all_characters_but_spaces(text, width):
    lines = wrap(text, width, "  ")
    assert all(line.startswith("  ") and count_columns(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_words_are_not_broken_where_they_fit_and_wide_characters_count_twice():
    assert wrap("the tide comes in", 9) == ["the tide", "comes in"]
    assert wrap("潮が満ちる", 4) == ["潮が", "満ち", "る"]
    assert wrap("", 10) == [""]
    assert count_columns("e\u0301") == 1 and count_columns("\u200eab") == 2


def test_a_message_is_broken_at_spaces_alone_and_continues_below_its_own_text():
    assert wrap_message("warning: one two three", 16) == "warning: one two\n         three"
    path = "/".join(["folder"] * 10)
    assert wrap_message(f"run: {path} there", 20) == f"run: {path}\n     there"


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12), max_size=20))
def test_a_message_loses_no_word(words):
    message = "text: " + " ".join(words)
    assert wrap_message(message, 40).split() == message.split()
    assert all(len(line) <= 40 for line in wrap_message(message, 40).splitlines())


def test_the_width_is_that_of_the_terminal_and_text_is_not_wider_than_can_be_read(monkeypatch):
    for columns, width, reading in (("80", 80, 80), ("300", 300, 120), ("3", 40, 40)):
        monkeypatch.setenv("COLUMNS", columns)
        assert (measure_width(), measure_reading_width()) == (width, reading)


def test_a_box_is_closed_whatever_is_in_it():
    box = draw_box(["val 3.3", "潮が満ちる", "a long line that has to be broken here"], 24)
    assert {count_columns(line) for line in box} == {24} and box[0][0] == "┌" and box[-1][-1] == "┘"


def test_a_box_is_drawn_with_what_stdout_can_encode(monkeypatch):
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr("sys.stdout", Ascii())
    assert draw_box(["a"], 80) == ["+---+", "| a |", "+---+"]


@pytest.mark.parametrize("width", [20, 60, 200])
def test_a_broken_command_is_the_same_command_for_a_shell(width):
    words = ["python", "train.py", "data.path=a (b).txt", "train.max_seconds=300", "it's"]
    lines = break_command(words, width)
    assert all(line.endswith(" \\") for line in lines[:-1]) and not lines[-1].endswith("\\")
    assert len(lines) == 1 or width < 200
    joined = re.sub(r" \\\n *", " ", "\n".join(lines))
    assert joined == "python train.py 'data.path=a (b).txt' train.max_seconds=300 'it'\"'\"'s'"
