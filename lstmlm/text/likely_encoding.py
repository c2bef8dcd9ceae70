"""The encoding that bytes are likely to be in, by what they would say in each; for hints, never to read a text by."""

import codecs
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

SAMPLE = 1 << 16  # bytes that are looked at
SURE, LIKELY, LEAST = 0.9, 0.7, 0.5  # scores from which a guess is called so, and is made at all

# Marks of print beyond ASCII
WESTERN_MARKS = "\u2018\u2019\u201c\u201d\u201e\u201a\u2013\u2014\u2026\u20ac\u00a0\u00ab\u00bb\u00b0\u00a7\u00a3\u00a9"
WESTERN_MARKS += "\u2022\u00bf\u00a1"
CJK_MARKS = (
    "\u3001\u3002\u300c\u300d\u300e\u300f\u3000\uff0c\uff01\uff1f\uff1a\uff1b\u201c\u201d\u2018\u2019\u2026\u2014"
)
CJK_MARKS += "\u300a\u300b\uff08\uff09\u30fb\u30fc\u00b7"


@dataclass(frozen=True)
class Guess:
    """An encoding by the name that data.encoding takes, and the share of the text that speaks for it, 0 to 1."""

    encoding: str
    score: float

    def __str__(self) -> str:
        how = "almost certainly" if self.score >= SURE else "probably" if self.score >= LIKELY else "perhaps"
        return f"{how} {self.encoding}"


def guess_encoding(data: bytes) -> Guess | None:
    """The most likely encoding of the start of a text that is not UTF-8; None if the bytes are like no text."""
    data = data[:SAMPLE]
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return Guess(name, 1.0)
    if 0 in data:
        return guess_utf_16(data)
    found = []
    for name, judge in JUDGES:
        text = decode_start(data, name)
        if text is not None and (score := judge(text)) >= LEAST:
            found.append(Guess(name, score))
    return max(found, key=lambda guess: guess.score, default=None)  # of equals the first


def count_stray_bytes(data: bytes) -> tuple[int, int]:
    """(bytes that are not part of UTF-8, characters of several bytes that are UTF-8) at the start of a text."""
    text = decode_start(data[:SAMPLE], "utf-8", "surrogateescape") or ""
    stray = sum("\udc80" <= char <= "\udcff" for char in text)
    return stray, sum(not char.isascii() for char in text) - stray


def decode_start(data: bytes, encoding: str, errors: str = "strict") -> str | None:
    """The text of the start of a file, which may end inside a character; None if it cannot be decoded."""
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(data)
    except UnicodeDecodeError:
        return None


def guess_utf_16(data: bytes) -> Guess | None:
    """UTF-16 without a mark: most texts then have a zero in every other byte, in line ends and spaces at least."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    name, zeros = ("utf-16-le", odd) if odd > even else ("utf-16-be", even)
    if data.isascii() and zeros < 0.2 * len(data):  # ASCII as UTF-16 has a zero in every pair: this is ASCII with zeros
        return None
    text = decode_start(data, name)
    if text is None or min(even, odd) * 20 > zeros or "\0" in text:
        return None
    return Guess(name, share(text, is_written)) if share(text, is_written) > 0.9 else None


# What a text in each encoding is like


def judge_western(text: str) -> float:
    """Few characters beyond ASCII: letters beside letters, and marks of print. No control character."""
    beyond = [char for char in text if not char.isascii()]
    if not beyond or any(is_control(char) for char in text) or len(beyond) > 0.4 * len(text):
        return 0.0
    fitting = 0
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if not char.isascii():
            lower = char.isalpha() and (char.islower() or not before.islower()) and (before + after).isascii()
            fitting += lower or char in WESTERN_MARKS
    return 0.95 * fitting / len(beyond)


def judge_cyrillic(text: str) -> float:
    """Small letters, and capitals at the starts of words."""
    beyond = [char for char in text if not char.isascii()]
    fitting = sum("\u0430" <= char <= "\u044f" for char in beyond)
    capitals = sum(
        "\u0410" <= char <= "\u042f" and not before.isalpha() for before, char in zip(" " + text, text, strict=False)
    )
    return (fitting + capitals) / len(beyond) if 2 * len(beyond) > len([c for c in text if c.isalpha()]) else 0.0


def judge_chinese(text: str) -> float:
    """The 3,755 most frequent characters of GB 2312, and its marks."""
    beyond = [char for char in text if not char.isascii()]
    codes = {char: char.encode("gb18030") for char in set(beyond)}
    frequent = {char for char, code in codes.items() if len(code) == 2 and b"\xb0" <= code[:1] <= b"\xd7"}
    return weigh_spaces(text) * share(beyond, lambda char: char in frequent or char in CJK_MARKS)


def judge_traditional(text: str) -> float:
    """The 5,401 most frequent characters of Big5, and its marks."""
    beyond = [char for char in text if not char.isascii()]
    frequent = {char for char in set(beyond) if b"\xa4" <= char.encode("big5")[:1] <= b"\xc6"}
    return weigh_spaces(text) * share(beyond, lambda char: char in frequent or char in CJK_MARKS)


def weigh_spaces(text: str) -> float:
    """Less than 1 for a text with spaces between its words, as Korean, whose bytes are among those of Chinese, has."""
    return 0.9 if 20 * text.count(" ") > len(text) else 1.0


def judge_japanese(text: str) -> float:
    """A third of it at least is kana; the rest are Chinese characters and marks. Half-width kana are rare."""
    beyond = [char for char in text if not char.isascii()]
    if 3 * sum("\u3041" <= char <= "\u30fe" for char in beyond) < len(beyond):
        return 0.0
    return share(beyond, lambda char: "\u3041" <= char <= "\u30fe" or "\u4e00" <= char <= "\u9fff" or char in CJK_MARKS)


def judge_korean(text: str) -> float:
    beyond = [char for char in text if not char.isascii()]
    return 0.99 * share(beyond, lambda char: "\uac00" <= char <= "\ud7a3" or char in CJK_MARKS)


JUDGES: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("cp1252", judge_western),
    ("gb18030", judge_chinese),
    ("shift_jis", judge_japanese),
    ("euc_jp", judge_japanese),
    ("euc_kr", judge_korean),
    ("big5", judge_traditional),
    ("cp1251", judge_cyrillic),
    ("koi8-r", judge_cyrillic),
    ("cp1250", lambda text: 0.9 * judge_western(text)),
    ("latin-1", lambda text: 0.99 * judge_western(text)),  # only where cp1252 has no such byte
)


def share(chars: "str | list[str]", fits: Callable[[str], bool]) -> float:
    """The share of the characters that fit; 0 of none."""
    return sum(map(fits, chars)) / len(chars) if chars else 0.0


def is_written(char: str) -> bool:
    """Is it assigned, and no control character but for line ends and tabs?"""
    return char in "\n\r\t" or unicodedata.category(char) not in ("Cn", "Cc", "Co", "Cs")


def is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" and char not in "\n\r\t\f"
