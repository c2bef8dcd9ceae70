"""Features of a text that a reader knows, as a reader would mark them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lstmlm.inspection.features import LEAST, describe_kinds, describe_places, find_code_points, find_features
from lstmlm.text.vocab import ByteVocab, Vocab

# A line end is shown as ~, the value 0 as a full stop, and of a number the last digit
TEXT = """\
"Yes," he (the [old] man) said.~~  'Bob's or Al's hut' <b> {x}~and "so~~on"""
MARKS = """\
11111..............................................................1111... inside quotation marks
...................................1111111111111111111.................... inside single quotation marks
..........11111222211111.................................................. inside brackets
...........................................................11............. inside braces
.......................................................11................. inside angle brackets
1234567890123456789012345678901..12345678901234567890123456789.1234567..12 position in the line
.123...12..123..123..123..1234......123.1.12.12.1.123...1...1..123..12..12 position in the word
123456789012345678901234567890.1234567890123456789012345678901234567890123 position in the sentence
.111................................111......11........................... in a word with a capital
.111111222233333444445555566666.....11112233344455666666777788.1111122..11 words since the line began
.................................12222222222222222222222222222............ indentation of the line"""


def mark(values: np.ndarray) -> str:
    return "".join(str(int(value) % 10) if value else "." for value in values)


def codes_of(text: str) -> NDArray[np.uint32]:
    return np.array([ord(char) for char in text], np.uint32)


@pytest.mark.parametrize("row", MARKS.splitlines(), ids=lambda row: row.split(" ", 1)[1])
def test_places_are_as_a_reader_marks_them(row):
    expected, name = row.split(" ", 1)
    found = mark(describe_places(codes_of(TEXT.replace("~", "\n")))[name])
    assert found == expected, f"\n{TEXT}\n{found}\n{expected}"


def test_a_mark_too_many_ends_with_its_paragraph():
    straight, curly = '"a\n\nb "c" d', "\u201ca\n\nb \u201cc\u201d d"
    for text in (straight, curly):
        assert mark(describe_places(codes_of(text))["inside quotation marks"]) == "111...11..."


def test_kinds_of_characters():
    kinds = describe_kinds(codes_of("aÉz4 -\u0434"))
    assert {name: mark(values) for name, values in kinds.items()} == {
        "a letter": "111...1",
        "a capital letter": ".1.....",
        "a vowel": "11.....",
        "a consonant": "..1....",
        "a digit": "...1...",
        "white space": "....1..",
        "punctuation": ".....1.",
    }


def test_a_byte_has_the_feature_of_its_character():
    vocab = ByteVocab()
    ids = vocab.encode("é€a\udcff")
    assert [chr(code) for code in find_code_points(vocab, ids)] == ["é", "é", "€", "€", "€", "a", "\udcff"]


def test_features_that_hardly_occur_are_left_out():
    rare = 'ab "q" (z)' + "ab " * 200
    often = "ab cd" * LEAST * 2 + '"q" ' * LEAST * 2
    names = {feature.name for feature in find_features(Vocab(rare), Vocab(rare).encode(rare))}
    assert "inside quotation marks" not in names and "the character q" not in names and "the character a" in names
    vocab = Vocab(often)
    assert "the character q" not in {
        feature.name for feature in find_features(vocab, vocab.encode(often))
    }  # in one half
    mixed = ("ab cd " + '"q" ') * LEAST * 2
    found = {feature.name: feature for feature in find_features(vocab, vocab.encode(mixed))}
    assert {"inside quotation marks", "the character q", "position in the word"} <= set(found)
    assert found["inside quotation marks"].is_mask and not found["position in the word"].is_mask
    assert found["inside quotation marks"].find_places().mean() == pytest.approx(0.2)


def test_no_feature_is_of_the_future():
    rng = np.random.default_rng(0)
    codes = codes_of("".join(rng.choice(list("ab'\"( ).\n"), 400)))
    whole = describe_places(codes)
    for cut in (1, 57, 230):
        for name, values in describe_places(codes[:cut]).items():
            np.testing.assert_array_equal(values, whole[name][:cut], err_msg=name)
