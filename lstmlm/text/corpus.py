"""The text of a run as ids: read, cleaned, split, encoded, and known by its hashes. n = characters of a part."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.system.hashing import hash_text
from lstmlm.system.machine import get_total_memory
from lstmlm.text.decoding import Decoder
from lstmlm.text.document_batches import locate_documents
from lstmlm.text.documents import (
    divide_documents,
    frame_documents,
    list_document_notes,
    make_document_split,
    read_documents,
)
from lstmlm.text.files import read_files
from lstmlm.text.ids_on_disk import (
    Facts,
    count_characters,
    create_folder,
    find_folder,
    open_encoded,
    survey_texts,
    write_code_points,
    write_facts,
    write_ids,
)
from lstmlm.text.labels import list_labels
from lstmlm.text.origin import Origin, find_origin
from lstmlm.text.preprocess import clean_text
from lstmlm.text.split import SPLITS, Split, make_split, split_at_files
from lstmlm.text.vocab import BOUNDARY, ByteVocab, Text, Vocab, make_label_token, restore_vocab

LARGE = 64 << 20  # bytes: a larger text has its ids in files
IN_MEMORY = 20  # bytes at the peak, measured, for each byte of a text that is held whole, as text and as ids


@dataclass(frozen=True)
class Corpus:
    """A text, split, as ids. Its characters are bytes where data.vocab=byte."""

    origin: Origin
    num_chars: int
    split: Split
    hashes: dict[str, str]  # SHA-256 of each part, its pieces one after the other, in UTF-8
    num_bytes: dict[str, int]  # of each part in UTF-8
    vocab: Vocab  # of the training part
    ids: dict[str, Tensor]  # of each part, its pieces one after the other, (n,): int64, or smaller in a mapped file
    notes: tuple[str, ...]  # what reading changed or noticed, for the log

    def pieces(self, which: str) -> list[Tensor]:
        """The ids of each piece of a part, (n,); with data.documents each document is one."""
        ids = self.ids[which]
        if self.vocab.boundary is not None:
            return cut_pieces(ids, self.vocab)
        return list(torch.split(ids, self.split.lengths(which))) if len(ids) else []

    def bytes_per_char(self, which: str) -> float:
        return self.num_bytes[which] / max(1, len(self.ids[which]))

    def count_unknown(self, which: str) -> int:
        """The number of characters of a part that the vocabulary lacks."""
        return 0 if self.vocab.unk is None else int((self.ids[which] == self.vocab.unk).sum())


def cut_pieces(ids: Tensor, vocab: Vocab) -> list[Tensor]:
    """Ids (N,) as one piece; of documents a piece for each, with the symbol before it and the boundary after it."""
    if vocab.boundary is None:
        return [ids]
    places = zip(*(part.tolist() for part in locate_documents(ids, vocab.boundary)), strict=True)
    return [ids[start : start + length + 1] for start, length in places]


def read_corpus(data: Data, vocab: Vocab | None = None, origin: Origin | None = None) -> Corpus:
    """The text that the settings name, split, as ids of a given vocabulary or of that of its own training part.

    The ids of a large text are written once, into files of the cache. BadInput where a file, its text or the split
    cannot be used.
    """
    origin = origin or find_origin(data)
    if origin.num_bytes > LARGE and data.preprocess == "raw" and data.documents is None:
        return read_mapped(origin, data, vocab)
    if (needed := IN_MEMORY * origin.num_bytes) > get_total_memory():
        if data.documents is not None:
            raise BadInput(f"data.documents: a text of {origin.num_bytes / 1e9:,.1f} GB needs {needed / 1e9:,.1f} GB")
        raise BadInput(
            f"data.preprocess: a text of {origin.num_bytes / 1e9:,.1f} GB needs {needed / 1e9:,.1f} GB of memory: "
            f"clean it up beforehand, and use data.preprocess=raw, which needs no memory"
        )
    if data.documents is not None:
        return read_document_corpus(origin, data, vocab)
    texts, notes = read_texts(origin, data)
    whole = join_texts(texts.values(), data)
    split = divide_text({which: len(text) for which, text in texts.items()}, data)
    parts = {which: join_texts((whole[start:end] for start, end in split.pieces[which]), data) for which in SPLITS}
    vocab = vocab or build_vocab(parts["train"], data, origin)
    return Corpus(
        origin,
        len(whole),
        split,
        {which: hash_text(part) for which, part in parts.items()},
        {which: vocab.count_bytes(part) for which, part in parts.items()},
        vocab,
        {which: torch.from_numpy(vocab.encode(part)) for which, part in parts.items()},
        tuple(notes),
    )


def read_document_corpus(origin: Origin, data: Data, vocab: Vocab | None) -> Corpus:
    """As `read_corpus`, of a text that is many documents."""
    documents, notes = read_documents(origin, data)
    parts, name = divide_documents(documents, data)
    if vocab is None:
        labels = list_labels((document.label for part in parts.values() for document in part), data.label)
        vocab = build_document_vocab(frame_documents(parts["train"]), labels, data, origin)
    texts = {which: frame_documents(part, vocab.labels) for which, part in parts.items()}
    return Corpus(
        origin,
        sum(map(len, texts.values())),
        make_document_split(texts, name),
        {which: hash_text(text) for which, text in texts.items()},
        {which: vocab.count_bytes(text) for which, text in texts.items()},
        vocab,
        {which: torch.from_numpy(vocab.encode(text)) for which, text in texts.items()},
        (*notes, *list_document_notes(parts)),
    )


def read_mapped(origin: Origin, data: Data, vocab: Vocab | None) -> Corpus:
    """As `read_corpus`, in constant memory."""
    folder = find_folder(collect_dependencies(origin, data, vocab))
    encoded = open_encoded(folder)
    if encoded is None:
        encode_to_disk(folder, origin, data, vocab)
        encoded = open_encoded(folder)
    if encoded is None:
        raise EnvironmentFault(f"{folder}: the files are not as they were written: check the disk, and try again")
    facts = encoded.facts
    return Corpus(
        origin,
        facts.num_chars,
        facts.split,
        facts.hashes,
        facts.num_bytes,
        vocab or restore_vocab(facts.tokens),
        encoded.ids,
        (*origin.notes, *facts.notes),
    )


def collect_dependencies(origin: Origin, data: Data, vocab: Vocab | None) -> list[object]:
    """Everything that the ids of a text depend on."""
    settings = [data.join, data.vocab, data.encoding, data.normalize, data.min_freq, data.split, data.max_tokens]
    # The hash is that of all bytes together: where each file ends decides which part a character belongs to
    return [origin.sha256, [*origin.sizes.items()], vocab and vocab.idx_to_token, *settings]


def encode_to_disk(folder: Path, origin: Origin, data: Data, vocab: Vocab | None) -> None:
    """Write the ids of a large text: survey it, split it, count the training part, build the vocabulary, encode.

    The text is read twice, for its length and for its parts.
    """
    with create_folder(folder) as making:
        texts, decoder = open_texts(origin, data)
        sizes, highest = survey_texts(texts)
        split = divide_text(sizes, data)
        texts, _ = open_texts(origin, data)
        hashes, num_bytes = write_code_points(making, texts, split, highest)
        vocab = vocab or build_vocab(count_characters(making / "train.codes", highest), data, origin)
        dtype, digests = write_ids(making, vocab, highest)
        notes = decoder.list_changes()
        num_chars, tokens = sum(sizes.values()), vocab.idx_to_token
        write_facts(making, Facts(num_chars, split, hashes, num_bytes, tokens, dtype, digests, notes))


def open_texts(origin: Origin, data: Data) -> tuple[dict[str, Iterator[Text]], Decoder]:
    """The text of the files of each part, from its start and in pieces of bounded size; and its decoder, for notes."""
    decoder = Decoder(data.encoding, data.normalize)
    texts: dict[str, Iterator[Text]] = {}
    for which, files in origin.files.items():
        what = origin.named_by[which]
        if data.vocab == "byte":
            texts[which] = read_files(files, what)
        else:
            texts[which] = decoder.decode_files(files, what, begin_lines=data.join == "lines")
    return texts, decoder


def read_texts(origin: Origin, data: Data) -> tuple[dict[str, Text], list[str]]:
    """The whole cleaned text of the files of each part; and notes for the log."""
    texts: dict[str, Text] = {}
    opened, decoder = open_texts(origin, data)
    for which, pieces in opened.items():
        before = join_texts(pieces, data)
        texts[which] = clean_text(before, data.preprocess)
        if not texts[which].strip():
            where = origin.files[which][0] if len(origin.files[which]) == 1 else origin.path
            left = "is empty" if not before.strip() else f"has nothing left after data.preprocess={data.preprocess}"
            raise BadInput(f"{origin.named_by[which]}: {where} {left}: give a text file")
    return texts, [*origin.notes, *decoder.list_changes()]


def join_texts(texts: Iterable[Text], data: Data) -> Text:
    """One text of several, which are all bytes or all str."""
    return b"".join(cast(Iterable[bytes], texts)) if data.vocab == "byte" else "".join(cast(Iterable[str], texts))


def divide_text(sizes: dict[str, int], data: Data) -> Split:
    """The split of texts of these numbers of characters: by data.split, or by file where the parts have their own."""
    if "val" in sizes:
        return split_at_files(*(sizes.get(which, 0) for which in SPLITS))
    return make_split(sizes["train"], data.split, data.max_tokens)


def build_vocab(train: Text | dict[str, int], data: Data, origin: Origin) -> Vocab:
    """The vocabulary of a training part, given as text or as the counts of its characters."""
    if len(set(train)) < 2:
        what = origin.named_by["train"]
        raise BadInput(f"{what}: the train part has 1 distinct character: there is nothing to learn")
    return ByteVocab() if isinstance(train, bytes) or data.vocab == "byte" else Vocab(train, data.min_freq)


def build_document_vocab(train: str, labels: list[str], data: Data, origin: Origin) -> Vocab:
    """The vocabulary of a training part of documents: the boundary is in it, however few they are, and every label."""
    build_vocab(train.replace(BOUNDARY, ""), data, origin)  # BadInput where there is nothing to learn
    return Vocab(train, data.min_freq, [BOUNDARY, *map(make_label_token, labels)])
