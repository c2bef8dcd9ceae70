"""Characters that a vocabulary lacks: refused by name, left out, or read as <unk>."""

import unicodedata

from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import Vocab

# Groups of characters that are typed in place of each other
ALIKE = (
    "'\u2018\u2019\u201a\u201b\u2032`\u00b4",
    '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    " \u00a0\u2002\u2003\u2009\u202f\t\n\r",
)
NAMED = 5  # characters in one message at most


def check_text(vocab: Vocab, text: str, what: str, remedy: str = "leave it out, or train on a text that has it") -> str:
    """The text, or BadInput that names the characters that it lacks. `what` names the text there."""
    if unknown := vocab.find_unknown(text):
        verb = "is" if len({char for _, char in unknown}) == 1 else "are"
        raise BadInput(f"{what}: {name_characters(vocab, unknown)} {verb} not in the vocabulary: {remedy}")
    return text


def remove_unknown(vocab: Vocab, text: str) -> str:
    """The text without the characters that the vocabulary lacks."""
    lacking = {at for at, _ in vocab.find_unknown(text)}
    return "".join(char for at, char in enumerate(text) if at not in lacking)


def name_characters(vocab: Vocab, unknown: list[tuple[int, str]]) -> str:
    """The distinct characters of `unknown`, each with its first position and the nearest known character."""
    first: dict[str, int] = {}
    for at, char in unknown:
        first.setdefault(char, at)
    names = [f"{char!a} (U+{ord(char):04X}) at position {at}{format_hint(vocab, char)}" for char, at in first.items()]
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return f"character{'s' * (len(names) > 1)} {', '.join(names[:NAMED] + more)}"


def format_hint(vocab: Vocab, char: str) -> str:
    near = find_nearest(vocab, char)
    return "" if near is None else f" (nearest: {near!a})"


def find_nearest(vocab: Vocab, char: str) -> str | None:
    """A character of the vocabulary close to `char`: a look-alike, its letter without marks, or the other case."""
    alike = [other for group in ALIKE if char in group for other in group]
    plain = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    for near in (*alike, plain, char.swapcase(), plain.swapcase()):
        if near and not vocab.find_unknown(near):
            return near
    return None


def make_readable(vocab: Vocab, text: str, oov: str, what: str) -> str:
    """The text as the model will read it.

    `oov` says what happens to characters that the vocabulary lacks: `error`, BadInput names them; `skip`, they are left
    out; `unk`, they stay and are read as <unk>. `what` is the text's name in messages.
    """
    if oov not in ("error", "skip", "unk"):
        raise BadInput(f"oov: no such choice {oov!a}: error, skip or unk")
    if oov == "error":
        return check_text(vocab, text, what, "replace it, or have it left out (oov skip) or read as <unk> (oov unk)")
    return remove_unknown(vocab, text) if oov == "skip" else text
