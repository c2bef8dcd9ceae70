"""A sample of a text is found where it stands in another as whole numbers, and as many samples as stand there count."""

import re

import numpy as np
import pytest
from helpers.command_line import composed_config

from lstmlm.text.corpus import read_corpus
from lstmlm.text.leak import find_aligned, list_doubts

SAMPLE = b"\1\2\3\4"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", False),
        (SAMPLE, True),
        (b"\0\0\0\0" + SAMPLE, True),
        (b"\0\0\0\0" * 9 + SAMPLE, True),
        (b"\0\0" + SAMPLE + b"\0\0", False),  # over two numbers
        (b"\0\0\0\0\0" + SAMPLE + b"\0\0\0", False),
        (b"\0\0" + SAMPLE + b"\0\0" + SAMPLE, True),
    ],
)
def test_a_sample_is_found_where_numbers_begin(text, found):
    assert find_aligned(text, SAMPLE) is found


def test_a_sample_of_numbers_is_found_as_a_search_number_by_number_finds_it():
    draw = np.random.default_rng(0)
    for _ in range(200):
        text, sample = draw.integers(0, 300, 12).astype("<u4"), draw.integers(0, 2, 2).astype("<u4") * 256
        expected = any((text[at : at + 2] == sample).all() for at in range(11))
        assert find_aligned(text.tobytes(), sample.tobytes()) is expected


def test_a_part_in_another_script_is_doubted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("the tide comes in, the tide goes out. " * 30 + "\u6f6e\u304c\u6e80\u3061\u308b\u3002" * 20)
    corpus = read_corpus(composed_config("data=file", f"data.path={path}", "data.split=[0.9,0.1,0]").data)
    assert [re.sub(r"^.*% of", "% of", doubt)[:35] for doubt in list_doubts(corpus)] == [
        "% of the characters of val are unkno"[:35]
    ]
