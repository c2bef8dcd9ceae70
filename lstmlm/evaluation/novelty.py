"""The share of a text that is copied from the text that the model was trained on, and its longest copied run.

A run is a sequence of characters; it is copied if it occurs in the training text, and new if not. The training text is
indexed once, as a suffix array: its positions, sorted by the text that follows them. The longest copied run that starts
at a position of the other text is then found by bisection. The array is kept in the cache under the hash of the text,
with a SHA-256 of its own, and is rebuilt where that does not match. n = characters of the training text.
"""

import bisect
import contextlib
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation.held_out import read_own_corpus
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.system.escape import escape_controls
from lstmlm.system.hashing import hash_text
from lstmlm.system.paths import find_cache

RUNS = (10, 20, 40)  # lengths, in characters

SuffixArray = NDArray[np.int32]


@dataclass(frozen=True)
class Novelty:
    """The copied and the new runs of a text of `chars` characters."""

    chars: int
    longest: int  # the length of `run`
    run: str  # the longest copied run
    source: int  # its position in the training text, in characters
    line: int  # its line in the training text, from 1
    new: dict[int, float | None]  # length: share of the runs of this length that are new; None: there are no such runs

    def format_lines(self) -> list[str]:
        """Two lines for people."""
        shown = escape_controls(repr(self.run if self.longest <= 40 else self.run[:37] + "..."))
        where = f", from character {self.source} (line {self.line}) of the training text: {shown}"
        shares = ", ".join(f"{share:.1%} of {k}" for k, share in self.new.items() if share is not None)
        return [
            f"longest copied run: {self.longest} of {self.chars} characters{where if self.run else ''}",
            f"new runs: {shares} characters" if shares else f"new runs: none of {RUNS[0]} characters or more",
        ]


class Index:
    """A text of n characters and `order`, its suffix array (n,)."""

    def __init__(self, text: str, order: SuffixArray) -> None:
        self.text, self.order = text, order

    def find_longest_run(self, other: str, at: int) -> tuple[int, int]:
        """(length, position in the text) of the longest run of the text with which other[at:] begins."""
        reach = 64  # characters to compare at first; most runs are shorter
        while True:
            piece = other[at : at + reach]
            spot = bisect.bisect_left(self.order, piece, key=lambda place: self.text[place : place + reach])
            nearby = self.order[max(spot - 1, 0) : spot + 1].tolist()
            length, place = max((count_common(piece, self.text[p : p + reach]), p) for p in nearby)
            if length < reach or at + reach >= len(other):
                return length, place
            reach *= 2

    def measure(self, other: str) -> Novelty:
        """The novelty of `other`."""
        matches = [self.find_longest_run(other, at) for at in range(len(other))]
        start = max(range(len(other)), key=lambda at: matches[at][0], default=0)
        longest, source = matches[start] if matches else (0, 0)
        new: dict[int, float | None] = {}
        for k in RUNS:
            runs = [length < k for length, _ in matches[: max(len(other) - k + 1, 0)]]
            new[k] = sum(runs) / len(runs) if runs else None
        line = self.text.count("\n", 0, source) + 1
        return Novelty(len(other), longest, other[start : start + longest], source, line, new)


def count_common(a: str, b: str) -> int:
    """The length of the longest common prefix."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def build_suffix_array(text: str) -> SuffixArray:
    """The positions of a text of n characters, sorted by the text that follows them, (n,).

    By prefix doubling (Manber and Myers 1993): once positions are ranked by the h characters that follow them, the rank
    of the position h further on decides between equals, which ranks them by 2 h. The first h characters are packed into
    an int64.
    """
    code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    symbols, codes = np.unique(code_points, return_inverse=True)
    n, bits = len(codes), len(symbols).bit_length()
    h = 62 // bits
    key = np.zeros(n, dtype=np.int64)
    for j in range(h):
        key <<= bits
        key[: max(n - j, 0)] |= codes[j:] + 1  # 0 is the end of the text
    while True:
        order = np.argsort(key)
        ordered = key[order]
        rank = np.empty(n, dtype=np.int64)
        rank[order] = np.cumsum(np.concatenate([[0], ordered[1:] != ordered[:-1]]))
        if rank.max() == n - 1:
            return order.astype(np.int32)
        key = rank * (n + 1)
        key[: n - h] += rank[h:] + 1
        h *= 2


def build_index(text: str) -> Index:
    """The index of a text, from the cache, or built and kept there where the cache can be written."""
    path = find_cache() / f"novelty_{hash_text(text)}.bin"
    with contextlib.suppress(OSError):
        data = path.read_bytes()
        if hashlib.sha256(data[32:]).digest() == data[:32] and len(data) == 32 + 4 * len(text):
            return Index(text, np.frombuffer(data, dtype=np.int32, offset=32))
    order = build_suffix_array(text)
    with contextlib.suppress(OSError, EnvironmentFault):
        path.parent.mkdir(parents=True, exist_ok=True)
        body = order.tobytes()
        write_durably(path, hashlib.sha256(body).digest() + body)
    return Index(text, order)


def read_training_text(loaded: Checkpoint) -> str:
    """The training part of the run's own text, checked by its hash; BadInput where it is missing or has changed."""
    try:
        corpus = read_own_corpus(loaded)
    except BadInput as error:
        raise BadInput(f"--novelty: needs the training text: {error}: put it back, or do without") from None
    return corpus.vocab.decode(corpus.ids["train"])
