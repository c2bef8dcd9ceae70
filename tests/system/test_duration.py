"""Durations in words, rounded to what matters."""

import pytest

from lstmlm.system.duration import format_duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.01, "1 s"),
        (7.4, "7 s"),
        (33, "35 s"),
        (59, "1 min"),
        (142, "2 min 20 s"),
        (597, "10 min"),
        (770, "13 min"),
        (3590, "1 h"),
        (4000, "1 h 7 min"),
    ],
)
def test_seconds_in_words(seconds, words):
    assert format_duration(seconds) == words
