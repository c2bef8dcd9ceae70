"""UTF-16 without a mark is told from other bytes with zeros."""

import pytest

from lstmlm.text.likely_encoding import guess_utf_16

TIDE = "The tide comes in, the tide goes out.\n" * 4


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_text_in_utf_16_is_found(encoding):
    guess = guess_utf_16(TIDE.encode(encoding))
    assert guess is not None and guess.encoding == encoding


@pytest.mark.parametrize(
    "data",
    [
        TIDE.encode("utf-16-le") + b"\x00\xd8a\x00",  # half a surrogate pair
        b"\xe9" + bytes(100),  # zeros in both places
        TIDE.encode("utf-16-le") + b"\0\0",  # a NUL
    ],
)
def test_bytes_that_are_no_such_text_are_not_taken_for_it(data):
    assert guess_utf_16(data) is None
