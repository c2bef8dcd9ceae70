"""The text that a checkpoint is scored on: a part of the run's own text, checked by its hash, or another file.

n = characters of a piece.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.checkpoints.checkpoint import CONVERTED, Checkpoint
from lstmlm.evaluation.given_text import get_data_settings, read_given_bytes
from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.system.hashing import hash_text
from lstmlm.text.corpus import Corpus, cut_pieces, join_texts, open_texts, read_corpus, read_texts
from lstmlm.text.documents import check_marks, clean_documents, cut_text, frame_documents, read_documents
from lstmlm.text.identity import explain_other_bytes, explain_other_parts
from lstmlm.text.leak import doubt_unknown
from lstmlm.text.origin import find_origin
from lstmlm.text.preprocess import clean_text
from lstmlm.text.vocab import Text, Vocab, restore_vocab

FILE_OPTION = "--file"  # the option by which the user names another text


@dataclass(frozen=True)
class Part:
    """A text as ids of a checkpoint's vocabulary, in pieces (n,), and its origin."""

    name: str
    pieces: list[Tensor]
    num_bytes: int  # in UTF-8
    num_unknown: int  # of the characters that are scored
    split_name: str
    split_hash: str
    num_shared: int = 0  # ids that two pieces share: the boundary between two documents without labels

    @property
    def num_chars(self) -> int:
        return sum(len(piece) for piece in self.pieces) - self.num_shared

    @property
    def bytes_per_char(self) -> float:
        return self.num_bytes / max(1, self.num_chars)


def load_held_out(loaded: Checkpoint, split: str | None, file: str | None) -> Part:
    """The part `split` of the run's own text (val by default), or `file`: whole, or its part `split`."""
    if file is None:
        split = split or "val"
        try:
            return make_part(read_own_corpus(loaded), split)
        except BadInput as error:
            own = loaded.record["data"]["name"] != CONVERTED and get_data_settings(loaded.record).val_path is not None
            give = "its file with --file FILE" if own and split != "train" else f"it with --file FILE --split {split}"
            raise BadInput(f"{error}: give {give}, or any text with --file FILE") from None
    return read_whole_file(loaded, file) if split is None else make_part(read_other_corpus(loaded, file), split)


def load_unseen(loaded: Checkpoint) -> Tensor:
    """The ids (n,) of the text that the weights were not trained on: the parts val and test of the run's own text."""
    try:
        corpus = read_own_corpus(loaded)
    except BadInput as error:
        raise BadInput(f"{error}: give a text: FILE") from None
    return torch.cat([piece for part in ("val", "test") for piece in corpus.pieces(part)])


def make_data_settings(loaded: Checkpoint, file: str) -> Data:
    """The settings by which the run read its own text, for another file."""
    return replace(get_data_settings(loaded.record), name="file", path=file, val_path=None, test_path=None)


def read_own_corpus(loaded: Checkpoint) -> Corpus:
    """The text that the run was trained on; BadInput where it is missing or has changed."""
    if loaded.record["data"]["name"] == CONVERTED:
        raise BadInput("the checkpoint was converted, and has no text of its own")
    data = get_data_settings(loaded.record)
    try:
        origin = find_origin(data)
    except BadInput as error:
        raise BadInput(f"the run's own text: {error}") from None
    if why := explain_other_bytes(loaded.record["data"], origin):
        raise BadInput(f"the run's own text: {why}")
    corpus = read_corpus(data, origin=origin)  # with a vocabulary built anew, so that a large text is in the cache
    if why := explain_other_parts(loaded.record["data"], loaded.record["vocab"], corpus):
        raise BadInput(f"the run's own text: {why}")
    return corpus


def read_other_corpus(loaded: Checkpoint, file: str) -> Corpus:
    """Another file, cleaned and split as the run's own text, in ids of the checkpoint's vocabulary."""
    data = make_data_settings(loaded, file)
    origin = find_origin(data, FILE_OPTION)
    try:
        return read_corpus(data, restore_vocab(loaded.record["vocab"]), origin)
    except BadInput as error:
        if not str(error).startswith("data.split"):
            raise
        reason = str(error).partition(": ")[2].partition(": give ")[0]
        raise BadInput(
            f"{FILE_OPTION}: {file} cannot be split as the run's text: {reason}: leave --split out"
        ) from None


def find_training_corpus(loaded: Checkpoint, file: str | None, option: str) -> Corpus:
    """The text that the weights were trained on: `file` if its training part has the same hash, else the run's own.

    BadInput if it is missing or has changed; `option` is the option that needs it.
    """
    if file is not None:
        corpus = read_other_corpus(loaded, file)
        if corpus.hashes["train"] == loaded.record["data"]["hashes"]["train"]:
            return corpus
    try:
        return read_own_corpus(loaded)
    except BadInput as error:
        raise BadInput(f"{option}: needs the training text: {error}: put it back, or do without") from None


def make_part(corpus: Corpus, which: str) -> Part:
    """A part of a corpus."""
    pieces = corpus.pieces(which)
    num_unknown = count_unknown(pieces, corpus.vocab)
    return Part(
        which,
        pieces,
        corpus.num_bytes[which],
        num_unknown,
        corpus.split.name,
        corpus.hashes[which],
        count_shared(pieces, corpus.vocab),
    )


def read_whole_file(loaded: Checkpoint, file: str) -> Part:
    """A file as one piece, or as documents, cleaned as the run's own text."""
    vocab = restore_vocab(loaded.record["vocab"])
    data = make_data_settings(loaded, file)
    if data.documents is not None:
        text: Text = frame_documents(read_documents(find_origin(data, FILE_OPTION), data)[0]["train"], vocab.labels)
    else:
        text = read_texts(find_origin(data, FILE_OPTION), data)[0]["train"]
    pieces = cut_pieces(torch.from_numpy(vocab.encode(text)), vocab)
    counts = vocab.count_bytes(text), count_unknown(pieces, vocab)
    return Part("file", pieces, *counts, Path(file).name, hash_text(text), count_shared(pieces, vocab))


# Other texts, read as the run read its own


def read_given_files(loaded: Checkpoint, file: str, what: str) -> Text:
    """The files that a path names, decoded, joined and cleaned as the run's own text; `what` names the option."""
    data = make_data_settings(loaded, file)
    if data.documents is not None:
        labels = restore_vocab(loaded.record["vocab"]).labels
        return frame_documents(read_documents(find_origin(data, what), data)[0]["train"], labels)
    texts, _ = open_texts(find_origin(data, what), data)
    return clean_text(join_texts(texts["train"], data), data.preprocess)


def read_like_own_text(loaded: Checkpoint, data: bytes, name: str, what: str) -> Text:
    """The bytes of a text, decoded and cleaned as the run's own text; of documents, framed.

    `name` and `what` are for messages (Decoder).
    """
    settings, text = get_data_settings(loaded.record), read_given_bytes(loaded.record, data, name, what)
    if settings.documents is None:
        return clean_text(text, settings.preprocess)
    if settings.label is not None:
        raise BadInput(f"{what}: {name} has no labels: give a file with the columns of the run's text")
    check_marks(str(text), f"{what}: {name}")
    return frame_documents(clean_documents(cut_text(str(text), replace(settings, column=None), Path(name)), settings))


def list_doubts_of_part(loaded: Checkpoint, part: Part) -> list[str]:
    """A line for each reason why the score of a part will say little of the model."""
    known = loaded.record["data"]["hashes"]
    doubts = [doubt_unknown(part.name, part.num_unknown, part.num_chars)]
    if part.name != "train" and part.split_hash == known["train"]:
        doubts.append(f"{part.name} is the text that the model was trained on: its score says nothing of new text")
    return [doubt for doubt in doubts if doubt is not None]


def count_unknown(pieces: list[Tensor], vocab: Vocab) -> int:
    """The number of scored characters that the vocabulary lacks."""
    return 0 if vocab.unk is None else sum(int((piece[1:] == vocab.unk).sum()) for piece in pieces)


def count_shared(pieces: list[Tensor], vocab: Vocab) -> int:
    """The number of ids that belong to two pieces."""
    return 0 if vocab.boundary is None or vocab.labels else max(0, len(pieces) - 1)
