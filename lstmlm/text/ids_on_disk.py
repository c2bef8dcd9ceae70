"""A large text as ids in files: encoded once, in constant memory, into the cache, and mapped from then on.

The folder of a text is named by the hash of its content and of every setting that its ids depend on. It holds a file of
ids for each part, and facts.json with what else is known of the text and the hashes of those files. The functions here
are the steps of corpus.read_mapped, in its order; n = characters of a part.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from lstmlm.system.arrays import Integers
from lstmlm.system.bar import Bar
from lstmlm.system.durable import sync_directory
from lstmlm.system.errors import EnvironmentFault
from lstmlm.system.paths import find_cache
from lstmlm.text.split import SPLITS, Split
from lstmlm.text.vocab import Text, Vocab

VERSION = 2  # of the folder; a folder of another version has another name
CHUNK = 1 << 20  # numbers read at a time
ID_TYPES = (np.uint8, np.int16, np.int32)  # of the ids: the smallest that holds them

Texts = Mapping[str, Iterator[Text]]  # of each part with files of its own, in pieces of bounded size


@dataclass(frozen=True)
class Facts:
    """What facts.json says of a text whose ids lie in files."""

    num_chars: int
    split: Split
    hashes: dict[str, str]  # SHA-256 of the parts in UTF-8
    num_bytes: dict[str, int]  # of the parts in UTF-8
    tokens: list[str]  # of the vocabulary
    dtype: str  # of the ids
    digests: dict[str, str]  # SHA-256 of the files of ids
    notes: list[str]  # for the log


@dataclass(frozen=True)
class Encoded:
    """A text whose ids lie in files."""

    facts: Facts
    ids: dict[str, Tensor]  # of each part, (n,), mapped from its file


# The folder


def find_folder(key: list[object]) -> Path:
    """The place in the cache for the text with this key: everything that its ids depend on."""
    name = hashlib.sha256(json.dumps([VERSION, *key]).encode()).hexdigest()
    return find_cache() / "ids" / name[:32]


def open_encoded(folder: Path) -> Encoded | None:
    """The text in a folder; None where it is not there or its files are damaged."""
    try:
        known = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        pieces = {which: [(start, end) for start, end in spans] for which, spans in known["split"]["pieces"].items()}
        facts = Facts(**known | {"split": Split(known["split"]["name"], pieces)})
        digests = {which: hash_file(folder / f"{which}.ids") for which in SPLITS}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if digests != facts.digests:
        return None
    return Encoded(facts, {which: map_ids(folder / f"{which}.ids", facts.dtype) for which in SPLITS})


def map_ids(path: Path, dtype: str) -> Tensor:
    """A file of ids as a tensor (n,), which is read from the disk as it is used."""
    size, kind = path.stat().st_size // np.dtype(dtype).itemsize, getattr(torch, dtype)
    return torch.from_file(str(path), shared=False, size=size, dtype=kind) if size else torch.empty(0, dtype=kind)


@contextlib.contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; at the end of the block it takes the place of `folder`, whole.

    It is removed where the block raises, or where another process was faster. EnvironmentFault where the disk refuses.
    """
    making = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        making.mkdir(parents=True)
        try:
            yield making
            if open_encoded(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)  # a damaged one
                os.replace(making, folder)
                sync_directory(folder.parent)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        what = f"cannot write {folder}: {error.strerror or error}"
        raise EnvironmentFault(f"{what}: free the disk, or set LSTMLM_CACHE to another folder") from error


@contextlib.contextmanager
def open_synced(path: Path) -> Iterator[BinaryIO]:
    """A new file that is on the disk when the block ends."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


# The steps


def survey_texts(texts: Texts) -> tuple[dict[str, int], int]:
    """The number of characters of each text, and the highest code point of all (255 at least)."""
    sizes, highest = dict.fromkeys(texts, 0), 255
    with Bar(desc="reading the text", unit="char", unit_scale=True) as bar:
        for which, pieces in texts.items():
            for text in pieces:
                codes = to_code_points(text)
                highest = max(highest, int(codes.max(initial=0)))
                sizes[which] += len(codes)
                bar.update(len(codes))
    return sizes, highest


def write_code_points(folder: Path, texts: Texts, split: Split, highest: int) -> tuple[dict[str, str], dict[str, int]]:
    """Write the code points of each part; returns the SHA-256 of each part and its length, both in UTF-8.

    The ids cannot be written yet: the vocabulary is known only when the training part is counted.
    """
    hashes, num_bytes, start = {which: hashlib.sha256() for which in SPLITS}, dict.fromkeys(SPLITS, 0), 0
    with contextlib.ExitStack() as stack:
        files = {which: stack.enter_context(open(folder / f"{which}.codes", "wb")) for which in SPLITS}
        total = sum(split.size(which) for which in SPLITS)
        bar = stack.enter_context(Bar(desc="encoding it", total=total, unit="char", unit_scale=True))
        for text in (piece for pieces in texts.values() for piece in pieces):
            for which, begin, end in iterate_overlaps(split, start, start + len(text)):
                inside = text[begin - start : end - start]
                data = inside if isinstance(inside, bytes) else inside.encode("utf-8", "surrogatepass")
                hashes[which].update(data)
                num_bytes[which] += len(data)
                files[which].write(to_code_points(inside).astype(get_code_type(highest), copy=False).data)
                bar.update(end - begin)
            start += len(text)
    return {which: whole.hexdigest() for which, whole in hashes.items()}, num_bytes


def count_characters(path: Path, highest: int) -> dict[str, int]:
    """The number of times that each character occurs in a file of code points, in order of first appearance."""
    counts: dict[int, int] = {}
    for codes in read_numbers(path, get_code_type(highest)):
        here = np.bincount(codes)
        there = np.flatnonzero(here).tolist()
        new = [code for code in there if code not in counts]
        counts |= dict.fromkeys(sorted(new, key=lambda code: int((codes == code).argmax())), 0)
        for code in there:
            counts[code] += int(here[code])
    return {chr(code): count for code, count in counts.items()}


def write_ids(folder: Path, vocab: Vocab, highest: int) -> tuple[str, dict[str, str]]:
    """Write the ids of each part, in place of its code points; returns their type and the SHA-256 of each file."""
    dtype = next(kind for kind in ID_TYPES if len(vocab) <= np.iinfo(kind).max + 1)
    id_of_code_point = np.full(highest + 1, vocab.unk or 0, dtype)
    for idx, token in enumerate(vocab.idx_to_token):
        if len(token) == 1 and ord(token) <= highest:
            id_of_code_point[ord(token)] = idx
    for which in SPLITS:
        with open_synced(folder / f"{which}.ids") as file:
            for codes in read_numbers(folder / f"{which}.codes", get_code_type(highest)):
                file.write(id_of_code_point[codes].data)
        (folder / f"{which}.codes").unlink()
    return np.dtype(dtype).name, {which: hash_file(folder / f"{which}.ids") for which in SPLITS}


def write_facts(folder: Path, facts: Facts) -> None:
    with open_synced(folder / "facts.json") as file:
        file.write(json.dumps(asdict(facts)).encode())


# Numbers


def to_code_points(text: Text) -> Integers:
    """The characters of a text as numbers (n,); bytes are their own numbers."""
    if isinstance(text, bytes) or text.isascii():
        return np.frombuffer(text if isinstance(text, bytes) else text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def get_code_type(highest: int) -> type[np.unsignedinteger]:
    """The type of code points in a file, where `highest` is the highest of the text."""
    return np.uint8 if highest < 256 else np.uint32


def read_numbers(path: Path, dtype: type[np.unsignedinteger]) -> Iterator[Integers]:
    """Yield the numbers in a file, CHUNK at a time."""
    with open(path, "rb") as file:
        while data := file.read(CHUNK * np.dtype(dtype).itemsize):
            yield np.frombuffer(data, dtype)


def iterate_overlaps(split: Split, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield (part, start, end) for each range of the characters [start, end) that belongs to a part."""
    for which, pieces in split.pieces.items():
        for first, last in pieces:
            if max(first, start) < min(last, end):
                yield which, max(first, start), min(last, end)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, read in chunks."""
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            whole.update(data)
    return whole.hexdigest()
