"""A sample of a text is found where it stands in another as whole numbers, and as many samples as stand there count."""

import numpy as np
import pytest

from lstmlm.text.leak import find_aligned

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
