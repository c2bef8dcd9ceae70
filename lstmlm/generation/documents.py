"""Samples that are documents: each begins at the boundary, and ends where the model draws it again."""

from collections.abc import Iterable, Iterator

from lstmlm.generation.writer import list_ends, start_writer, write_sample
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import BOUNDARY, Vocab

SEPARATORS = {"line": "\n", "blank": "\n\n", "file": "\n\n"}  # between two documents, by data.documents


def generate_documents(
    model: RNNModel, vocab: Vocab, prompt: str, length: int, settings: SamplingSettings, seed: int, separator: str
) -> str:
    """Documents that all begin with the prompt, of the seeds from `seed` on, until they have `length` characters."""
    begun = start_writer(model, vocab, prompt, settings, [seed])
    text = ""
    while len(text) < length:
        writer = begun.copy()
        writer.seeds = [seed]
        text += separator * bool(text) + prompt
        room = max(1, length - len(text))
        text += "".join(piece for piece, _ in write_sample(writer, vocab, room, list_ends(vocab)) if piece != BOUNDARY)
        seed += 1
    return text


def hide_boundary(pieces: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Pieces of a sample with their surprisals: that of the end stays, and its symbol is not shown."""
    return (("" if piece == BOUNDARY else piece, surprisal) for piece, surprisal in pieces)
