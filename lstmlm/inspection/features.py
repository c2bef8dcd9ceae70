"""What a reader knows at every character of a text: whether it is inside quotation marks, how far into the line, ...

n = characters of the text, K = features. A feature at a character depends on this character and those before it.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmlm.system.arrays import Ids
from lstmlm.text.vocab import BOUNDARY, ByteVocab, Vocab

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST = 20  # characters of a text that have a feature, and that lack it: fewer say nothing
LOGARITHM = " (logarithm)"  # after the name of a position: log(1 + position)
MOST_CHARACTERS = 80  # of the vocabulary, the most frequent ones, whose identity is a feature
SENTENCE_ENDS = ".!?\u3002\uff01\uff1f"  # those of Chinese and Japanese too


@dataclass(frozen=True)
class Feature:
    """One number for each character of a text.

    `kind` is `state` (where the reader is: in quotation marks, in a line), `character` (which character it is) or
    `model` (what the model itself expects).
    """

    name: str
    kind: str
    values: Values

    @property
    def is_mask(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())

    def find_places(self) -> Mask:
        """(n,) where the feature is on; of a number, the third of the characters where it is largest."""
        return self.values > (0 if self.is_mask else float(np.quantile(self.values, 2 / 3)))


def find_features(vocab: Vocab, ids: Ids) -> list[Feature]:
    """The features of the text of ids (n,), without those that hardly change in it."""
    codes = find_code_points(vocab, ids)
    found = [Feature(name, "state", values.astype(np.float32)) for name, values in describe_places(codes).items()]
    found += [Feature(name, "character", values.astype(np.float32)) for name, values in describe_kinds(codes).items()]
    counts = np.bincount(ids, minlength=len(vocab))
    for idx in np.argsort(-counts, kind="stable")[:MOST_CHARACTERS]:
        if idx != vocab.unk:
            found.append(Feature(name_character(vocab, int(idx)), "character", (ids == idx).astype(np.float32)))
    return [feature for feature in found if changes_enough(feature.values)]


def changes_enough(values: Values) -> bool:
    """Whether both halves of a text have LEAST characters of two different values or more."""
    halves = np.array_split(values, 2)
    return all(len(half) - np.unique(half, return_counts=True)[1].max() >= LEAST for half in halves)


def find_code_points(vocab: Vocab, ids: Ids) -> NDArray[np.uint32]:
    """(n,) the code point of each character; of a byte that of the character which it is a part of."""
    if isinstance(vocab, ByteVocab):
        chars = vocab.decode(ids)
        lengths = [len(vocab.encode(char)) for char in chars]
        return np.repeat(np.array([ord(char) for char in chars], np.uint32), lengths)
    points = [ord(token) if len(token) == 1 else 0xFFFD for token in vocab.idx_to_token]
    return np.array(points, np.uint32)[ids]


def name_character(vocab: Vocab, idx: int) -> str:
    names = {"\n": "a line end", " ": "a space", "\t": "a tab", BOUNDARY: "the end of a document"}
    if isinstance(vocab, ByteVocab) and idx > 127:
        return f"the byte {idx:02X}"
    token = vocab.idx_to_token[idx]
    return names.get(token) or f"the character {token}"


# Where a reader is


def describe_places(codes: NDArray[np.uint32]) -> dict[str, NDArray[np.generic]]:
    """The features of kind `state`, each (n,)."""
    line_end, space = codes == 10, is_any(codes, " \t\n\r\u00a0")
    letter, capital = classify(codes, str.isalpha), classify(codes, str.isupper)
    blank = line_end & shift(line_end)  # the second line end: a paragraph ends
    in_line, in_word = count_since(line_end), count_since(~letter)
    in_sentence, in_paragraph = count_since(is_any(codes, SENTENCE_ENDS)), count_since(blank)
    first, indent = letter & ~shift(letter), space & ~line_end & (count_since(line_end | ~space) == in_line)
    return {
        "inside quotation marks": find_quoted(codes, blank),
        "inside single quotation marks": find_single_quoted(codes, letter, space, blank),
        "inside brackets": sum_depths(codes, ["()", "[]"], blank),
        "inside braces": sum_depths(codes, ["{}"], None),
        "inside angle brackets": sum_depths(codes, ["<>"], blank),
        "position in the line": in_line,
        "position in the line" + LOGARITHM: np.log1p(in_line),
        "position in the word": in_word,
        "position in the sentence": in_sentence,
        "position in the sentence" + LOGARITHM: np.log1p(in_sentence),
        "position in the paragraph": in_paragraph,
        "position in the paragraph" + LOGARITHM: np.log1p(in_paragraph),
        "in a word with a capital": letter & hold(first, capital),
        "words since the line began": count_within(first, line_end),
        "indentation of the line": count_within(indent, line_end),
    }


def shift(mask: Mask) -> Mask:
    """The mask of the character before; False before the text."""
    return np.concatenate([[False], mask[:-1]])


def count_since(event: Mask) -> NDArray[np.int64]:
    """(n,) characters since the last event; 0 at the event. The text begins with one before it."""
    places = np.arange(len(event))
    return places - np.maximum.accumulate(np.where(event, places, -1))


def count_within(event: Mask, begin: Mask) -> NDArray[np.int64]:
    """(n,) events since the last place where `begin` is true."""
    total = np.cumsum(event, dtype=np.int64)
    return total - total_before(total, begin)


def total_before(total: NDArray[np.int64], begin: Mask) -> NDArray[np.int64]:
    """(n,) what a running sum was at the last place where `begin` is true; 0 before the first."""
    places = np.maximum.accumulate(np.where(begin, np.arange(len(begin)), -1))
    before: NDArray[np.int64] = np.where(places < 0, 0, total[places])
    return before


def hold(event: Mask, value: Mask) -> NDArray[np.int64]:
    """(n,) 1 where `value` held at the last event; 0 before the first."""
    return total_before(value.astype(np.int64), event)


def find_quoted(codes: NDArray[np.uint32], blank: Mask) -> Mask:
    """Inside straight or curly marks. A blank line ends it, so that one mark too many does no harm after it."""
    straight = count_within(codes == ord('"'), blank) % 2 == 1
    quoted: Mask = straight | (sum_depths(codes, ["\u201c\u201d"], blank) > 0)
    return quoted


def find_single_quoted(codes: NDArray[np.uint32], letter: Mask, space: Mask, blank: Mask) -> Mask:
    """Inside straight or curly marks: a mark after a space opens, one after a letter or a full stop closes.

    An apostrophe stands between letters; so a mark after a letter closes only as the next character is no letter.
    """
    mark = is_any(codes, "'\u2019")
    after_space = ~shift(~space)  # or at the begin of the text
    opens = ((codes == ord("'")) & after_space) | (codes == ord("\u2018"))
    after_stop = shift(is_any(codes, '.,!?;:-\u2014"'))
    closes = (mark & after_stop) | (shift(mark & shift(letter)) & ~letter)
    inside: Mask = count_since(opens) < count_since(closes | blank)
    return inside


def sum_depths(codes: NDArray[np.uint32], pairs: list[str], begin: Mask | None) -> NDArray[np.int64]:
    """(n,) how many pairs of brackets are open; a place where `begin` is true closes all."""
    depth = np.zeros(len(codes), np.int64)
    for pair in pairs:
        opening, closing = (codes == ord(bracket) for bracket in pair)
        change = np.cumsum(opening.astype(np.int64) - closing)
        depth += np.maximum(change - (0 if begin is None else total_before(change, begin)), 0)
    return depth


# Which character it is


def describe_kinds(codes: NDArray[np.uint32]) -> dict[str, Mask]:
    """The features of kind `character`, each (n,), that several characters share."""
    letter, vowel = classify(codes, str.isalpha), classify(codes, is_vowel)
    latin = letter & (codes < 0x250)  # the alphabets in which one can tell
    return {
        "a letter": letter,
        "a capital letter": classify(codes, str.isupper),
        "a vowel": vowel,
        "a consonant": latin & ~vowel,
        "a digit": classify(codes, str.isdigit),
        "white space": classify(codes, str.isspace),
        "punctuation": ~classify(codes, lambda char: char.isalnum() or char.isspace()),
    }


def is_vowel(char: str) -> bool:
    """Of the Latin alphabet, with an accent or without."""
    return unicodedata.normalize("NFKD", char)[:1].lower() in tuple("aeiouy")


def classify(codes: NDArray[np.uint32], test: Callable[[str], bool]) -> Mask:
    """(n,) whether a test holds for each character."""
    unique, inverse = np.unique(codes, return_inverse=True)
    return np.array([test(chr(code)) for code in unique], np.bool_)[inverse]


def is_any(codes: NDArray[np.uint32], chars: str) -> Mask:
    return np.isin(codes, [ord(char) for char in chars])
