"""Characters that a vocabulary lacks: named, with the nearest that it has; dropped, or read as <unk>, if so wished."""

import unicodedata

from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import Vocab

# What is typed for one another
ALIKE = (
    "'\u2018\u2019\u201a\u201b\u2032`\u00b4",
    '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    " \u00a0\u2002\u2003\u2009\u202f\t\n\r",
)
NAMED = 5  # characters in one message at most


def check_text(vocab: Vocab, text: str, what: str, remedy: str = "leave it out, or train on a text that has it") -> str:
    """The text, or BadInput that names the characters that the vocabulary lacks."""
    if unknown := vocab.unknown(text):
        verb = "is" if len({char for _, char in unknown}) == 1 else "are"
        raise BadInput(f"{what}: {name_characters(vocab, unknown)} {verb} not in the vocabulary: {remedy}")
    return text


def remove_unknown(vocab: Vocab, text: str) -> str:
    """The text without the characters that the vocabulary lacks."""
    lacking = {at for at, _ in vocab.unknown(text)}
    return "".join(char for at, char in enumerate(text) if at not in lacking)


def name_characters(vocab: Vocab, unknown: list[tuple[int, str]]) -> str:
    """The different ones of (position, character), each where it stands first, with the nearest that there is."""
    first = {}
    for at, char in unknown:
        first.setdefault(char, at)
    names = [f"{char!a} (U+{ord(char):04X}) at position {at}{hint(vocab, char)}" for char, at in first.items()]
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"character{'s' * (len(names) > 1)} {', '.join(names[:NAMED] + more)}"


def hint(vocab: Vocab, char: str) -> str:
    near = find_nearest(vocab, char)
    return "" if near is None else f" (nearest: {near!a})"


def find_nearest(vocab: Vocab, char: str) -> str | None:
    """What the vocabulary has in the place of a character: a look-alike, its letter without marks, the other case."""
    alike = [other for group in ALIKE if char in group for other in group]
    plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    for near in (*alike, plain, char.swapcase(), plain.swapcase()):
        if near and not vocab.unknown(near):
            return near
    return None


def make_readable(vocab: Vocab, text: str, oov: str, what: str) -> str:
    """The text as it will be read. What the vocabulary lacks: `error`, BadInput; `skip`, left out; `unk`, as <unk>."""
    if oov not in ("error", "skip", "unk"):
        raise BadInput(f"oov: no such choice {oov!a}: error, skip or unk")
    if oov == "error":
        return check_text(vocab, text, what, "replace it, or have it left out (oov skip) or read as <unk> (oov unk)")
    return remove_unknown(vocab, text) if oov == "skip" else text
