"""A sorted list that is read as one stream gets one line of advice, and no other text does."""

import random

import pytest
from helpers.command_line import ROOT, composed_config

from lstmlm.text.corpus import read_corpus
from lstmlm.text.sorted_list import advise_on_sorted_list

WORDS = sorted({"".join(random.Random(k).choices("abcdefgh", k=3 + k % 5)) for k in range(500)})


def advise(tmp_path, text, *words):
    path = tmp_path / "text.txt"
    path.write_text(text)
    return advise_on_sorted_list(read_corpus(composed_config("data=file", f"data.path={path}", *words).data))


def test_a_sorted_list_is_advised_to_be_documents(tmp_path):
    assert "data.documents=line" in advise(tmp_path, "\n".join(WORDS) + "\n")
    assert "data.documents=line" in advise(tmp_path, "\n".join(word.title() for word in WORDS) + "\n")


def test_with_the_setting_it_is_not(tmp_path):
    assert advise(tmp_path, "\n".join(WORDS), "data.documents=line") is None


SHUFFLED = random.Random(0).sample(WORDS, len(WORDS))
OTHERS = {
    "a shuffled list": "\n".join(SHUFFLED),
    "a short list": "\n".join(WORDS[:50]),
    "long lines in order": "\n".join(word + " tide" * 30 for word in WORDS),
    "prose": (ROOT / "data" / "tide_clock.txt").read_text()[:30_000],
    "one line": "tide " * 5000,
    "a line over and over": "the tide\n" * 500,
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_texts_are_not(tmp_path, text):
    assert advise(tmp_path, text) is None


def test_lines_of_one_character_are_a_list_too(tmp_path):
    assert "data.documents=line" in advise(tmp_path, "\n".join(map(chr, range(0x4E00, 0x4E00 + 200))) + "\n")
