"""Counts that grow with the scored text are those of counting anew after every character."""

import numpy as np
import pytest

from lstmlm.evaluation.growing_counts import compute_growing_nats
from lstmlm.evaluation.kneser_ney import KneserNey


def number(text: str, alphabet: str) -> np.ndarray:
    return np.array([alphabet.index(char) for char in text], dtype=np.int64)


def count_anew(train: list[np.ndarray], held_out: list[np.ndarray], vocab_size: int, n: int) -> list[float]:
    """The definition: before every character all text so far is counted."""
    nats = []
    for which, piece in enumerate(held_out):
        for at in range(1, len(piece)):
            seen = KneserNey([*train, *held_out[:which], piece[:at]], vocab_size, n)
            nats.append(seen.compute_char_nats(piece[: at + 1], n)[-1])
    return nats


TEXTS = [
    (["abracadabra abracadabra", "the tide, the time"], ["abra the tide, the abra cadz", "", "a", "the tide, the"]),
    (["a"], ["aabbaabbaabbcc"]),
    (["aab", "b"], ["ab"]),
]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("train", "held_out"), TEXTS)
def test_growing_counts_are_those_of_counting_anew(train, held_out, n):
    alphabet = "".join(sorted(set("".join(train + held_out))))
    train, held_out = ([number(text, alphabet) for text in texts] for texts in (train, held_out))
    ours = compute_growing_nats(train, held_out, len(alphabet) + 1, n)
    assert ours == pytest.approx(count_anew(train, held_out, len(alphabet) + 1, n), rel=1e-12)


def test_growing_counts_are_those_of_counting_anew_on_random_text():
    draw = np.random.default_rng(0)
    train, held_out = [draw.geometric(0.4, 300).clip(max=5)], [draw.geometric(0.4, 60).clip(max=6)]
    assert compute_growing_nats(train, held_out, 8, 4) == pytest.approx(count_anew(train, held_out, 8, 4), rel=1e-12)


def test_a_text_that_repeats_itself_becomes_cheap():
    train, held_out = number("abcd" * 5, "abcdefgh"), number("hgfe" * 50, "abcdefgh")
    nats = compute_growing_nats([train], [held_out], 8, 5)
    assert nats[:3].mean() > 1.5 and nats[-40:].mean() < 0.1
