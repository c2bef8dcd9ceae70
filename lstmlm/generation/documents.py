"""Samples that are documents: each begins with the boundary, or the mark of its label, and ends where the model draws
the boundary. No torch.
"""

from collections.abc import Iterable, Iterator

from lstmlm.generation.writer import choose_first_character
from lstmlm.system.arrays import Ids
from lstmlm.text.labels import choose_begin
from lstmlm.text.vocab import MARKS, Vocab

SEPARATORS = {"line": "\n", "blank": "\n\n", "file": "\n\n"}  # between two documents, by data.documents


def encode_prompt(vocab: Vocab, prompt: str, begin: str | None = None) -> Ids:
    """The ids (n,) that the model reads for a prompt: of documents, the beginning of one, after the symbol `begin`."""
    begin = choose_begin(vocab) if begin is None else begin
    return vocab.encode(begin + prompt or choose_first_character(vocab))


def list_ends(vocab: Vocab, stop: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The strings that end a sample: those given and, of documents, the end of one, or the begin of the next."""
    return stop if vocab.boundary is None else (*stop, *MARKS)


def hide_boundary(pieces: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Pieces of a sample with their surprisals: that of the end stays, and its symbol is not shown."""
    return (("" if piece in MARKS else piece, surprisal) for piece, surprisal in pieces)
