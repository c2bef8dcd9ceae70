"""The split of a text: the characters for training, for validation and for testing."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lstmlm.system.errors import BadInput

Range = tuple[int, int]  # characters [start, end)
SPLITS = ("train", "val", "test")
FORMS = "give fractions like [0.9,0.05,0.05], three ranges of characters, or a name: nanogpt, torchrnn, charrnn"


@dataclass(frozen=True)
class Split:
    """Three parts of a text that share no character, each of one or more pieces, or empty."""

    name: str  # as the user gave it
    pieces: dict[str, list[Range]]

    def size(self, which: str) -> int:
        """The number of characters of a part."""
        return sum(end - start for start, end in self.pieces[which])

    def lengths(self, which: str) -> list[int]:
        """The number of characters of each piece of a part; empty pieces are left out."""
        return [end - start for start, end in self.pieces[which] if end > start]


def make_split(num_chars: int, spec: Any, max_tokens: int | None = None, unit: str = "characters") -> Split:
    """The split of a text of `num_chars` characters, or of as many of another `unit`.

    `spec` is fractions ([0.9, 0.05, 0.05]; the remainder is left out), ranges of characters ([[0, 10000],
    [10000, 20000], [20000, 30000]]), or a name of NAMED. `max_tokens` cuts the training part only.
    BadInput where parts overlap, leave the text, or are too short to use.
    """
    if isinstance(spec, str) and spec in NAMED:
        name, pieces = spec, NAMED[spec](num_chars)
    elif not isinstance(spec, (list, tuple)) or len(spec) != len(SPLITS):
        raise BadInput(f"data.split: {spec!r}: {FORMS}")
    elif all(_is_number(part) for part in spec):
        name = "/".join(f"{part:g}" for part in spec)
        pieces = _split_by_fractions(num_chars, spec)
    elif all(_is_range(part) for part in spec):
        name = "/".join(f"{start}-{end}" for start, end in spec)
        pieces = {which: [(start, end)] for which, (start, end) in zip(SPLITS, spec, strict=True)}
    else:
        raise BadInput(f"data.split: {spec!r}: {FORMS}")
    if max_tokens is not None:
        pieces["train"] = _take_first(pieces["train"], max_tokens)
        name += f", max_tokens {max_tokens}"
    return check_split(Split(name, pieces), num_chars, unit)


def split_at_files(train: int, val: int, test: int) -> Split:
    """The split of texts with files of their own, one after the other, given their numbers of characters."""
    ends = itertools.accumulate((train, val, test))
    pieces = {which: [(end - size, end)] for which, size, end in zip(SPLITS, (train, val, test), ends, strict=True)}
    return check_split(Split("files", pieces), train + val + test)


def check_split(split: Split, num_chars: int, unit: str = "characters") -> Split:
    """The split, or BadInput that names its mistake."""
    for which, pieces in split.pieces.items():
        for start, end in pieces:
            if not 0 <= start <= end <= num_chars:
                raise BadInput(f"data.split: {which} {start}-{end} does not lie in the text of {num_chars} {unit}")
    ordered = sorted(piece for pieces in split.pieces.values() for piece in pieces if piece[0] < piece[1])
    for (_, end), (start, stop) in itertools.pairwise(ordered):
        if start < end:
            raise BadInput(f"data.split: two parts overlap at {unit} {start}-{min(end, stop)}")
    for which in ("train", "val"):
        if max(split.lengths(which), default=0) < 2:
            raise BadInput(
                f"data.split: the {which} part has {split.size(which)} {unit} of {num_chars}: "
                f"it needs at least 2: give a longer text or another data.split"
            )
    return split


def _is_number(part: object) -> bool:
    return isinstance(part, (int, float)) and not isinstance(part, bool)


def _is_range(part: object) -> bool:
    return isinstance(part, (list, tuple)) and len(part) == 2 and all(type(end) is int for end in part)


def _take_first(pieces: list[Range], num_chars: int) -> list[Range]:
    """The first `num_chars` characters of the pieces."""
    kept: list[Range] = []
    for start, end in pieces:
        kept.append((start, min(end, start + num_chars)))
        num_chars -= kept[-1][1] - start
    return [piece for piece in kept if piece[0] < piece[1]]


def _split_by_fractions(num_chars: int, fractions: Sequence[float]) -> dict[str, list[Range]]:
    if not all(0 <= part <= 1 for part in fractions) or sum(fractions) > 1 + 1e-9:
        raise BadInput(f"data.split: {list(fractions)}: fractions lie in 0..1 and sum to at most 1")
    pieces: dict[str, list[Range]] = {}
    start, total = 0, 0.0
    for which, fraction in zip(SPLITS, fractions, strict=True):
        total += fraction
        end = num_chars if total > 1 - 1e-9 else int(num_chars * total)
        pieces[which] = [(start, end)]
        start = end
    return pieces


# The splits of published numbers


def split_as_nanogpt(num_chars: int) -> dict[str, list[Range]]:
    """nanoGPT's data/shakespeare_char: the first 90 % and the last 10 %; no test part."""
    end = int(num_chars * 0.9)
    return {"train": [(0, end)], "val": [(end, num_chars)], "test": []}


def split_as_torchrnn(num_chars: int) -> dict[str, list[Range]]:
    """torch-rnn's preprocess.py: 80 %, 10 %, 10 %, in this order."""
    tenth = int(num_chars * 0.1)
    ends = num_chars - 2 * tenth, num_chars - tenth
    return {"train": [(0, ends[0])], "val": [ends], "test": [(ends[1], num_chars)]}


def split_as_charrnn(num_chars: int) -> dict[str, list[Range]]:
    """char-rnn's CharSplitLMMinibatchLoader: 50 rows of columns of 50 characters, each row's last 5 % for validation.

    So the validation part is 50 pieces from all over the text, and easier than the end of the text. Characters that do
    not fill a column are left out.
    """
    columns = num_chars // (50 * 50)
    train = int(columns * 0.95)
    if train < 1:
        raise BadInput(f"data.split: charrnn needs 5,000 characters, the text has {num_chars}")
    starts = range(0, 50 * 50 * columns, 50 * columns)
    cut, end = 50 * train, 50 * columns
    pieces = {"train": [(s, s + cut) for s in starts], "val": [(s + cut, s + end) for s in starts], "test": []}
    return pieces


NAMED: dict[str, Callable[[int], dict[str, list[Range]]]] = {
    "nanogpt": split_as_nanogpt,
    "torchrnn": split_as_torchrnn,
    "charrnn": split_as_charrnn,
}
