"""The prompt of samples is the beginning of a sentence of the text, in every script, and the same every time."""

import pytest
from helpers.command_line import ROOT
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.text.sentence import LONGEST, choose_sentence_start, take_words

STORY = """THE CLOCK

The keeper of the tide walked home. He had no lamp with him. "Where is it?" he said.

He was late. 17 of them waited; he knew it well.
He did not run."""


def test_it_is_the_first_of_the_sentences_that_begin_with_the_commonest_word():
    assert choose_sentence_start(STORY) == "He had no"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("我在海邊走了很久。那個老人在屋裡等著我回來。", "我在海邊走了"),
        ("Der Mann ging nach Hause. Übrigens war es schon spät.", "Der Mann"),
        ("static int count_words(void)\n{\n    return number of words;\n}\n", "static int"),
        ("the time traveller for so it will be convenient to speak", "the time"),
        ("123 456", "123 456"),
        ("", ""),
    ],
)
def test_every_kind_of_text_has_one(text, expected):
    assert choose_sentence_start(text) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The tide came in", ["The tide"]),
        ("he's at the door", ["he's at the"]),
        ("'tis the tide again", []),
        ("The tide, they said, came in", []),
        ("In 1905 the tide came in", []),
        ("The  tide came in", []),
    ],
)
def test_a_beginning_is_words_with_single_spaces_between(text, found):
    assert [opening for opening in take_words(text, [0])] == found


def test_the_shipped_text_gives_words_that_a_sentence_of_it_begins_with():
    text = (ROOT / "data" / "tide_clock.txt").read_text(encoding="utf-8")
    start = choose_sentence_start(text)
    assert f"\n\n{start} " in text or f". {start} " in text or f".\n{start} " in text


@given(st.text(max_size=300))
def test_it_stands_in_the_text_and_is_short(text):
    start = choose_sentence_start(text)
    assert start in text and len(start) <= LONGEST and start == start.rstrip(" ")
