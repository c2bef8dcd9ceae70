"""The text that a checkpoint is to be scored on: a part of the run's own, known by its hash, or another file."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.checkpoints.checkpoint import CONVERTED, Checkpoint
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import Data
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.system.hashing import hash_text
from lstmlm.text.corpus import Corpus, find_origin, read_corpus, read_texts
from lstmlm.text.decoding import Decoder
from lstmlm.text.ids_on_disk import Text
from lstmlm.text.preprocess import PREPROCESS
from lstmlm.text.vocab import Vocab, restore_vocab


@dataclass(frozen=True)
class Part:
    """A text as ids of a checkpoint's vocabulary, each piece by itself, (n,), and what it is."""

    name: str
    pieces: list[Tensor]
    num_bytes: int  # in UTF-8
    num_unknown: int  # of the characters that are scored
    split_name: str
    split_hash: str

    @property
    def num_chars(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    @property
    def bytes_per_char(self) -> float:
        return self.num_bytes / max(1, self.num_chars)


def load_held_out(loaded: Checkpoint, split: str | None, file: str | None) -> Part:
    """The part of the run's own text (val, if none is named), or `file`: whole, or the part that is named."""
    if file is None:
        split = split or "val"
        try:
            return make_part(read_own_corpus(loaded), split)
        except BadInput as error:
            raise BadInput(f"{error}: give it with --file FILE --split {split}, or any text with --file FILE") from None
    if split is None:
        return read_whole_file(file, settings_for_file(loaded, file), restore_vocab(loaded.record["vocab"]))
    return make_part(read_corpus_in(loaded, file), split)


def settings_for_file(loaded: Checkpoint, file: str) -> Data:
    """How the run read its own text, for another file."""
    return replace(stored_data_settings(loaded), name="file", path=file, val_path=None, test_path=None)


def read_corpus_in(loaded: Checkpoint, file: str) -> Corpus:
    return read_corpus(settings_for_file(loaded, file), restore_vocab(loaded.record["vocab"]))


def find_training_corpus(loaded: Checkpoint, file: str | None) -> Corpus:
    """The text that the weights were trained on: in `file`, if its training part is the same, or else the run's own."""
    if file is not None:
        corpus = read_corpus_in(loaded, file)
        if corpus.hashes["train"] == loaded.record["data"]["hashes"]["train"]:
            return corpus
    return read_own_corpus(loaded)


def stored_data_settings(loaded: Checkpoint) -> Data:
    return config_from_flat(flatten(loaded.record["config"])).data


def clean_text(loaded: Checkpoint, name: str, data: bytes) -> Text:
    """A text that is not in a file, as the run's own text was read."""
    how = stored_data_settings(loaded)
    if how.vocab == "byte":
        return data
    return PREPROCESS[how.preprocess]("".join(Decoder(how.encoding, how.normalize).text(name, [data])))


def read_own_corpus(loaded: Checkpoint) -> Corpus:
    """The text that the run was made of; BadInput if it is not there any more as it was."""
    if loaded.record["data"]["name"] == CONVERTED:
        raise BadInput("the checkpoint was converted, and has no text of its own")
    data = stored_data_settings(loaded)
    try:
        origin = find_origin(data)
    except BadInput as error:
        raise BadInput(f"the run's own text: {error}") from None
    if origin.sha256 != loaded.record["data"]["sha256"]:
        raise BadInput(f"the run's own text: {origin.path} has changed since the run")
    corpus = read_corpus(data, origin=origin)  # numbered as for the run, so that a large text is found in the cache
    if corpus.vocab.idx_to_token != loaded.record["vocab"]:
        raise BadInput("the run's own text: the vocabulary in the checkpoint is not that of its text")
    return corpus


def make_part(corpus: Corpus, which: str) -> Part:
    pieces = corpus.pieces(which)
    return Part(
        which,
        pieces,
        corpus.num_bytes[which],
        count_unknown(pieces, corpus.vocab),
        corpus.split.name,
        corpus.hashes[which],
    )


def read_whole_file(file: str, data: Data, vocab: Vocab) -> Part:
    """A file as one piece, cleaned as the run's text was."""
    text = read_texts(find_origin(data), data)[0]["train"]
    pieces = [torch.from_numpy(vocab.encode(text))]
    return Part("file", pieces, vocab.num_bytes(text), count_unknown(pieces, vocab), Path(file).name, hash_text(text))


def count_unknown(pieces: list[Tensor], vocab: Vocab) -> int:
    return 0 if vocab.unk is None else sum(int((piece[1:] == vocab.unk).sum()) for piece in pieces)
