"""Samples that are documents: each begins at the boundary, and ends where the model draws it again. No torch."""

from collections.abc import Iterable, Iterator

from lstmlm.generation.writer import choose_first_character
from lstmlm.system.arrays import Ids
from lstmlm.text.vocab import BOUNDARY, Vocab

SEPARATORS = {"line": "\n", "blank": "\n\n", "file": "\n\n"}  # between two documents, by data.documents


def encode_prompt(vocab: Vocab, prompt: str) -> Ids:
    """The ids (n,) that the model reads for a prompt: of documents, the beginning of one."""
    begin = BOUNDARY if vocab.boundary is not None else ""
    return vocab.encode(begin + prompt or choose_first_character(vocab))


def list_ends(vocab: Vocab, stop: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The strings that end a sample: those given and, of documents, the end of one."""
    return stop if vocab.boundary is None else (*stop, BOUNDARY)


def hide_boundary(pieces: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Pieces of a sample with their surprisals: that of the end stays, and its symbol is not shown."""
    return (("" if piece == BOUNDARY else piece, surprisal) for piece, surprisal in pieces)
