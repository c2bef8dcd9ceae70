"""The text of a run as ids: where it comes from, how it is cleaned and split, by which hashes it is known."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput
from lstmlm.system.hashing import hash_text
from lstmlm.system.machine import get_total_memory
from lstmlm.system.paths import find_shipped
from lstmlm.text.decoding import Decoder
from lstmlm.text.files import hash_files, list_files, read_pieces
from lstmlm.text.ids_on_disk import Text, numbered
from lstmlm.text.preprocess import PREPROCESS
from lstmlm.text.published import OWN_PARTS, find_text
from lstmlm.text.split import SPLITS, Split, make_split, split_at_files
from lstmlm.text.vocab import ByteVocab, Vocab, restore_vocab

LARGE = 64 << 20  # bytes of text, from which on its ids lie in files
IN_MEMORY = 20  # bytes at the peak, measured, for each of a text that is held whole, as text and as ids


@dataclass(frozen=True)
class Origin:
    """The files of a text, by the part that they are for: of "train" alone, or of all that have their own."""

    name: str
    path: str
    files: dict[str, list[Path]]
    sha256: str  # of the bytes of all files, unpacked, one after the other
    num_bytes: int

    @property
    def all_files(self) -> list[Path]:
        return [file for files in self.files.values() for file in files]


@dataclass(frozen=True)
class Corpus:
    """A text, split, as ids. Characters are bytes where data.vocab=byte."""

    origin: Origin
    num_chars: int
    split: Split
    hashes: dict[str, str]  # SHA-256 of each part, its pieces in a row, in UTF-8
    num_bytes: dict[str, int]  # of each part in UTF-8
    vocab: Vocab  # of the training part
    ids: dict[str, Tensor]  # of each part, its pieces in a row, (n,): int64, or of a smaller type in a mapped file
    notes: tuple[str, ...]  # what reading changed or noticed, for the log

    def pieces(self, which: str) -> list[Tensor]:
        """The ids of a part, each of its pieces by itself."""
        return list(self.ids[which].split(self.split.lengths(which))) if len(self.ids[which]) else []

    def bytes_per_char(self, which: str) -> float:
        return self.num_bytes[which] / max(1, len(self.ids[which]))

    def unknown(self, which: str) -> int:
        """How many characters of a part the vocabulary lacks."""
        return 0 if self.vocab.unk is None else int((self.ids[which] == self.vocab.unk).sum())


# Where it comes from


def locate_text(name: str, path: str | None) -> Path:
    """Where the files of a corpus are: `path` where one is given, else the embedded text or the cache."""
    if name == "tide_clock":
        if path is not None:
            raise BadInput(f"data.path: has no effect with data=tide_clock: add data=file to train on {path!r}")
        return find_shipped("data") / "tide_clock.txt"
    if path is not None:
        return Path(path)
    if name == "file":
        raise BadInput("data.path: data=file needs a text: add data.path=my.txt")
    return find_text(name)


def find_origin(data: Data) -> Origin:
    """The files that the settings name, and what is in them."""
    path = locate_text(data.name, data.path)
    own = {which: path.with_name(file) for which, file in OWN_PARTS.get(data.name, {}).items()}
    own |= {which: part for which in ("val", "test") if (part := getattr(data, f"{which}_path")) is not None}
    files = {"train": list_files(path, "data.path")}
    files |= {which: list_files(part, f"data.{which}_path") for which, part in own.items()}
    return Origin(data.name, str(path.absolute()), files, *hash_files(itertools.chain(*files.values())))


# The text and its parts


def read_corpus(data: Data, vocab: Vocab | None = None, origin: Origin | None = None) -> Corpus:
    """The text that the settings name, split, and numbered by its own training part or by a vocabulary that is given.

    A large one is numbered once, into files of the cache. Raises BadInput where a file, its text or the split cannot
    be used.
    """
    origin = origin or find_origin(data)
    if origin.num_bytes > LARGE and data.preprocess == "raw":
        return read_mapped(origin, data, vocab)
    if (needed := IN_MEMORY * origin.num_bytes) > get_total_memory():
        raise BadInput(
            f"data.preprocess: a text of {origin.num_bytes / 1e9:,.1f} GB needs {needed / 1e9:,.1f} GB of memory: "
            f"clean it up beforehand, and use data.preprocess=raw, which needs no memory"
        )
    texts, notes = read_texts(origin, data)
    whole = texts["train"][:0].join(texts.values())
    split = divide_text({which: len(text) for which, text in texts.items()}, data)
    parts = {which: whole[:0].join(whole[start:end] for start, end in split.pieces[which]) for which in SPLITS}
    vocab = vocab or build_vocab(parts["train"], data)
    return Corpus(
        origin,
        len(whole),
        split,
        {which: hash_text(part) for which, part in parts.items()},
        {which: vocab.num_bytes(part) for which, part in parts.items()},
        vocab,
        {which: torch.from_numpy(vocab.encode(part)) for which, part in parts.items()},
        tuple(notes),
    )


def read_mapped(origin: Origin, data: Data, vocab: Vocab | None) -> Corpus:
    """As `read_corpus`, in constant memory."""
    decoder = Decoder(data.encoding, data.normalize)

    def texts() -> dict[str, Iterator[Text]]:
        decoder.found.clear()
        return {which: iterate_text(files, data, decoder) for which, files in origin.files.items()}

    key = [origin.sha256, [[which, len(files)] for which, files in origin.files.items()], vocab and vocab.idx_to_token]
    key += [data.vocab, data.encoding, data.normalize, data.min_freq, data.split, data.max_tokens]
    facts, ids = numbered(
        key,
        texts,
        lambda sizes: divide_text(sizes, data),
        lambda counts: vocab or build_vocab(counts, data),
        lambda: [*list_names(origin), *decoder.notes()],
    )
    vocab = vocab or restore_vocab(facts.tokens)
    return Corpus(origin, facts.num_chars, facts.split, facts.hashes, facts.num_bytes, vocab, ids, tuple(facts.notes))


def iterate_text(files: list[Path], data: Data, decoder: Decoder) -> Iterator[Text]:
    return itertools.chain.from_iterable(map(read_pieces, files)) if data.vocab == "byte" else decoder.pieces(files)


def read_texts(origin: Origin, data: Data) -> tuple[dict[str, Text], list[str]]:
    """The texts of the files, by part, cleaned; and notes for the log."""
    decoder, texts = Decoder(data.encoding, data.normalize), {}
    for which, files in origin.files.items():
        where = files[0] if len(files) == 1 else origin.path
        before = (b"" if data.vocab == "byte" else "").join(iterate_text(files, data, decoder))
        texts[which] = PREPROCESS[data.preprocess](before)
        if not texts[which].strip():
            left = "is empty" if not before.strip() else f"has nothing left after data.preprocess={data.preprocess}"
            raise BadInput(f"data.path: {where} {left}: give a text file")
    return texts, [*list_names(origin), *decoder.notes()]


def list_names(origin: Origin) -> list[str]:
    """A note that names the files, where there are several."""
    names = [path.name for path in origin.all_files]
    return [f"{len(names)} files, one after the other: {', '.join(names)}"] if len(names) > 1 else []


def divide_text(sizes: dict[str, int], data: Data) -> Split:
    """The split of texts of so many characters: by data.split, or at the files of the parts that have their own."""
    if "val" in sizes:
        return split_at_files(*(sizes.get(which, 0) for which in SPLITS))
    return make_split(sizes["train"], data.split, data.max_tokens)


def build_vocab(train: Text | dict[str, int], data: Data) -> Vocab:
    """The vocabulary of a training part, or of the counts of its characters."""
    if len(set(train)) < 2:
        raise BadInput("data.path: the train part has 1 distinct character: there is nothing to learn")
    return ByteVocab() if data.vocab == "byte" else Vocab(train, data.min_freq)


# The clean-up
