"""A large text as ids in files: numbered once, in constant memory, into the cache, and from then on mapped.

The folder of a text is named by the hash of its content and of every setting that its ids depend on. It holds a file of
ids for each part and facts.json, which is checked against them at each use; a folder that does not pass is made anew.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lstmlm.system.durable import sync_directory
from lstmlm.system.errors import EnvironmentFault
from lstmlm.system.paths import find_cache
from lstmlm.text.split import SPLITS, Split
from lstmlm.text.vocab import Vocab

VERSION = 1  # of the folder; another one is another name
CHUNK = 1 << 20  # numbers read at a time
DTYPES = (np.uint8, np.int16, np.int32)  # of the ids: the smallest that holds them

Text = str | bytes
Texts = Callable[[], dict[str, Iterator[Text]]]  # the texts from their start, in pieces of bounded size


@dataclass(frozen=True)
class Facts:
    """What is known of a text whose ids lie in files."""

    num_chars: int
    split: Split
    hashes: dict[str, str]  # of the parts in UTF-8
    num_bytes: dict[str, int]  # of the parts in UTF-8
    tokens: list[str]  # of the vocabulary
    dtype: str
    digests: dict[str, str]  # of the files of ids
    notes: list[str]  # for the log


def numbered(
    key: list,
    texts: Texts,
    divide: Callable[[dict[str, int]], Split],
    number: Callable[[dict[str, int]], Vocab],
    notes: Callable[[], list[str]],
) -> tuple[Facts, dict[str, Tensor]]:
    """The facts and the ids (n,) of each part, mapped; made if they are not there.

    `key` is all that the ids depend on. Each call of `texts` reads the text again; `divide` gives the split from the
    lengths, `number` the vocabulary from the counts of the training part, in order of first appearance, `notes` what
    reading has noticed.
    """
    name = hashlib.sha256(json.dumps([VERSION, *key]).encode()).hexdigest()
    folder = find_cache() / "ids" / name[:32]
    facts = read_facts(folder)
    if facts is None:
        try:
            write(folder, texts, divide, number, notes)
        except OSError as error:
            what = f"cannot write {folder}: {error.strerror or error}"
            raise EnvironmentFault(f"{what}: free the disk, or set LSTMLM_CACHE to another folder") from error
        facts = read_facts(folder)
    return facts, {which: mapping(folder / f"{which}.ids", facts.dtype) for which in SPLITS}


def mapping(path: Path, dtype: str) -> Tensor:
    """A file of ids as a tensor, read from the disk as it is used."""
    size, kind = path.stat().st_size // np.dtype(dtype).itemsize, getattr(torch, dtype)
    return torch.from_file(str(path), shared=False, size=size, dtype=kind) if size else torch.empty(0, dtype=kind)


def read_facts(folder: Path) -> Facts | None:
    """The facts, if they are there and the files are as they say."""
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        pieces = {which: [(start, end) for start, end in spans] for which, spans in facts["split"]["pieces"].items()}
        facts = Facts(**facts | {"split": Split(facts["split"]["name"], pieces)})
        digests = {which: digest(folder / f"{which}.ids") for which in SPLITS}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return facts if digests == facts.digests else None


def digest(path: Path) -> str:
    whole = hashlib.sha256()
    for chunk in numbers(path, np.uint8):
        whole.update(chunk)
    return whole.hexdigest()


def numbers(path: Path, dtype) -> Iterator[np.ndarray]:
    """What is in a file, CHUNK numbers at a time."""
    with open(path, "rb") as file:
        while data := file.read(CHUNK * np.dtype(dtype).itemsize):
            yield np.frombuffer(data, dtype)


def write(folder: Path, texts: Texts, divide: Callable, number: Callable, notes: Callable) -> None:
    """Make the folder beside its place, and put it there whole.

    The vocabulary is known only when the training part is counted, so the parts are first written as code points.
    """
    making = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    making.mkdir(parents=True)
    try:
        sizes, highest = survey(texts())
        split = divide(sizes)
        code = np.uint8 if highest < 256 else np.uint32
        hashes, num_bytes = write_code_points(making, texts(), split, code)
        vocab = number(counted(making / "train.codes", code))
        dtype = next(kind for kind in DTYPES if len(vocab) <= np.iinfo(kind).max + 1)
        table = np.full(highest + 1, vocab.unk or 0, dtype)
        for idx, token in enumerate(vocab.idx_to_token):
            if len(token) == 1 and ord(token) <= highest:
                table[ord(token)] = idx
        for which in SPLITS:
            renumber(making / f"{which}.codes", making / f"{which}.ids", code, table)
        digests = {which: digest(making / f"{which}.ids") for which in SPLITS}
        tokens, name = vocab.idx_to_token, np.dtype(dtype).name
        facts = Facts(sum(sizes.values()), split, hashes, num_bytes, tokens, name, digests, notes())
        with synced(making / "facts.json") as file:
            file.write(json.dumps(asdict(facts)).encode())
        if read_facts(folder) is None:  # no other process put it there while this one worked
            shutil.rmtree(folder, ignore_errors=True)  # one that did not pass
            os.replace(making, folder)
            sync_directory(folder.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextlib.contextmanager
def synced(path: Path) -> Iterator:
    """A new file that is on the disk when the block ends."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def code_points(text: Text) -> np.ndarray:
    """The characters of a text as numbers (n,); those of bytes are the bytes."""
    if isinstance(text, bytes) or text.isascii():
        return np.frombuffer(text if isinstance(text, bytes) else text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def survey(texts: dict[str, Iterator[Text]]) -> tuple[dict[str, int], int]:
    """The length of each text, and the highest code point of all."""
    sizes, highest = dict.fromkeys(texts, 0), 255
    with tqdm(desc="reading the text", unit="char", unit_scale=True, disable=None) as bar:
        for which, pieces in texts.items():
            for text in pieces:
                codes = code_points(text)
                highest = max(highest, int(codes.max(initial=0)))
                sizes[which] += len(codes)
                bar.update(len(codes))
    return sizes, highest


def write_code_points(
    folder: Path, texts: dict[str, Iterator[Text]], split: Split, dtype
) -> tuple[dict[str, str], dict[str, int]]:
    """Write each part's characters; its hash and its length in UTF-8."""
    hashes, num_bytes, start = {which: hashlib.sha256() for which in SPLITS}, dict.fromkeys(SPLITS, 0), 0
    with contextlib.ExitStack() as stack:
        files = {which: stack.enter_context(open(folder / f"{which}.codes", "wb")) for which in SPLITS}
        total = sum(split.size(which) for which in SPLITS)
        bar = stack.enter_context(tqdm(desc="numbering it", total=total, unit="char", unit_scale=True, disable=None))
        for pieces in texts.values():
            for text in pieces:
                for which, begin, end in overlaps(split, start, start + len(text)):
                    inside = text[begin - start : end - start]
                    data = inside if isinstance(inside, bytes) else inside.encode("utf-8", "surrogatepass")
                    hashes[which].update(data)
                    num_bytes[which] += len(data)
                    files[which].write(code_points(inside).astype(dtype, copy=False))
                    bar.update(end - begin)
                start += len(text)
    return {which: whole.hexdigest() for which, whole in hashes.items()}, num_bytes


def overlaps(split: Split, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """What of the characters [start, end) belongs to which part."""
    for which, pieces in split.pieces.items():
        for first, last in pieces:
            if max(first, start) < min(last, end):
                yield which, max(first, start), min(last, end)


def counted(path: Path, dtype) -> dict[str, int]:
    """How often each character occurs in a file of code points, in order of first appearance."""
    counts: dict[int, int] = {}
    for codes in numbers(path, dtype):
        here = np.bincount(codes)
        there = np.flatnonzero(here).tolist()
        new = [code for code in there if code not in counts]
        counts |= dict.fromkeys(sorted(new, key=lambda code: int((codes == code).argmax())), 0)
        for code in there:
            counts[code] += int(here[code])
    return {chr(code): count for code, count in counts.items()}


def renumber(source: Path, target: Path, dtype, table: np.ndarray) -> None:
    """From code points to ids, on the disk when it returns; the source is removed."""
    with synced(target) as file:
        for codes in numbers(source, dtype):
            file.write(table[codes])
    source.unlink()
