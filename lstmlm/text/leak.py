"""Is the validation text a fair one? Its characters must be known, and it must not be text of the training part."""

import numpy as np

from lstmlm.text.corpus import Corpus

UNKNOWN = 0.1  # of the characters, from which the cost of a text says little
WINDOWS, LENGTH = 40, 40  # samples of a part, and their characters, that are looked up in the training part
COPIED = 0.5  # of the samples, from which a part is taken for a copy
SEARCHED = 20_000_000  # characters of the training part at most that are searched: half a second


def list_doubts(corpus: Corpus) -> list[str]:
    """A line for each held-out part whose score will say little of the model."""
    lines = []
    for which in ("val", "test"):
        size = len(corpus.ids[which])
        if not size:
            continue
        if note := doubt_unknown(which, corpus.count_unknown(which), size):
            lines.append(note)
        if corpus.hashes[which] == corpus.hashes["train"]:
            lines.append(f"{which} is the training part itself: its score says nothing of new text")
        elif (share := measure_copied(corpus, which)) >= COPIED:
            lines.append(
                f"{share:.0%} of {which} (in samples of {LENGTH} characters) stand word for word in train: "
                f"its score says little of new text"
            )
    return lines


def doubt_unknown(name: str, unknown: int, size: int) -> str | None:
    """The line for a text of `size` characters of which the vocabulary lacks many; None if it lacks few."""
    if unknown <= UNKNOWN * size:
        return None
    return (
        f"{unknown / size:.0%} of the characters of {name} are unknown to the model, and its score says little of it: "
        f"is it in another script or encoding than the training text?"
    )


def measure_copied(corpus: Corpus, which: str) -> float:
    """The share of samples of a part that stand in the training part; 0 for one too short to sample."""
    pieces = [piece for piece in corpus.pieces(which) if len(piece) >= LENGTH]
    if not pieces or len(corpus.ids["train"]) > SEARCHED:
        return 0.0
    train = np.ascontiguousarray(corpus.ids["train"].numpy().astype("<u4")).tobytes()
    found, count = 0, 0
    for piece in pieces[:WINDOWS]:
        starts = np.linspace(0, len(piece) - LENGTH, max(WINDOWS // len(pieces), 1)).astype(int)
        for start in np.unique(starts).tolist():
            found += find_aligned(train, piece[start : start + LENGTH].numpy().astype("<u4").tobytes())
            count += 1
    return found / count


def find_aligned(text: bytes, sample: bytes) -> bool:
    """Does a sample of numbers of 4 bytes stand in a text of such numbers?"""
    at = text.find(sample)
    while at % 4 and at >= 0:
        at = text.find(sample, at + 1)
    return at >= 0
