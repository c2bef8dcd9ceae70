"""Where a sentence of a text begins: what samples read on from."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

READ = 50_000  # characters of the text at its start are looked at
SHORTEST, LONGEST = 8, 24  # characters of a beginning
WITHOUT_SPACES = 6  # characters of a beginning in a script that does not separate words
QUOTES = "\"'\u201d\u2019\u00bb\u300d\u300f)\\]"  # which close behind the end of a sentence
# The full stops of Chinese and Japanese need no space after them
SENTENCE_END = re.compile(rf"[.!?\u2026\u0964\u061f][{QUOTES}]*\s+|[\u3002\uff01\uff1f][{QUOTES}]*\s*|\n\s*\n\s*|\A\s*")
LINE_END = re.compile(r"\n\s*|\A\s*")
WORD_END = re.compile(r"\s+")
APOSTROPHES = "'\u2019"


def choose_sentence_start(text: str) -> str:
    """The first words of a sentence of the text, 8 to 24 characters without a space at the end.

    The sentence is the first of those that begin with the word with which most sentences begin. A text without
    sentences gives the first words of a line, or else any words; one that has one word on each line gives such a word.
    """
    text = text[:READ]
    sentences, lines, words = (
        [match.end() for match in end.finditer(text)] for end in (SENTENCE_END, LINE_END, WORD_END)
    )
    openings = (
        [start for start in take_words(text, sentences) if is_sentence_case(start)],
        list(take_characters(text, sentences)),
        list(take_words(text, lines)),
        list(take_words(text, words)),
    )
    for found in openings:
        if found:
            return choose_commonest(found)
    whole_lines = [line.strip() for line in text.split("\n")[1:] if line.strip()] or [text.strip()]
    return whole_lines[0][:SHORTEST].rstrip()


def take_words(text: str, starts: Iterable[int]) -> Iterator[str]:
    """At each start, words separated by single spaces, if nothing but words is there."""
    for start in starts:
        for at in range(start, min(start + LONGEST + 1, len(text))):
            if text[at] == " " and at > start and text[at - 1] != " ":
                if at - start >= SHORTEST:
                    yield text[start:at]
                    break
            elif not is_of_word(text[at]) or (at == start and text[at] in APOSTROPHES):
                break


def take_characters(text: str, starts: Iterable[int]) -> Iterator[str]:
    """At each start, some characters, if all are letters without case, as those of Chinese and Japanese are."""
    for start in starts:
        opening = text[start : start + WITHOUT_SPACES]
        if len(opening) == WITHOUT_SPACES and all(unicodedata.category(char) in ("Lo", "Lm") for char in opening):
            yield opening


def is_of_word(char: str) -> bool:
    """Is it a letter, the mark of a letter, or an apostrophe?"""
    return unicodedata.category(char)[0] in "LM" or char in APOSTROPHES


def is_sentence_case(opening: str) -> bool:
    """Does it begin as a sentence does, and not as a heading in capitals?"""
    return not opening[0].islower() and not opening.isupper()


def choose_commonest(openings: list[str]) -> str:
    """The first opening whose first word is that of most openings."""
    first_words = [opening.split(" ")[0] for opening in openings]
    return openings[first_words.index(Counter(first_words).most_common(1)[0][0])]
