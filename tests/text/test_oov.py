"""A character that the vocabulary lacks has the nearest one that it knows, if there is one."""

import pytest

from lstmlm.text.oov import find_nearest
from lstmlm.text.vocab import Vocab

VOCAB = Vocab("abei'-\n")


@pytest.mark.parametrize(
    ("char", "nearest"),
    [
        ("\u2019", "'"),
        ("\u2014", "-"),
        ("\u00e9", "e"),
        ("A", "a"),
        ("\u00c9", "e"),
        ("\t", "\n"),
        ("z", None),
        ("\u6f6e", None),
    ],
)
def test_the_nearest_is_a_look_alike_or_the_letter_without_marks_or_the_other_case(char, nearest):
    assert find_nearest(VOCAB, char) == nearest
