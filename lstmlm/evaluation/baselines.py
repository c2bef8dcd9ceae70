"""Baselines: the cost of held-out text under n-grams and compressors that know the training part.

Both parts come in pieces: an n-gram does not look across the ends of a piece, and the first character of each held-out
piece is not scored, as with the model. Results are kept in the cache, by the content of both parts.
"""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from lstmlm.evaluation.kneser_ney import KneserNey
from lstmlm.evaluation.ngram import NGrams
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.system.arrays import Floats, Integers
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import EnvironmentFault
from lstmlm.system.paths import find_cache

log = logging.getLogger("lstmlm")

METHOD = 4  # raise it with any change of the results: those in the cache are then not found
ORDERS = range(2, 8)
LIMIT = 10_000_000  # the last characters (xz, bzip2: bytes) of the training part, which are read: seconds, < 1 GB
WINDOW = 2**26  # bytes: xz looks back no further, as at its own level 9; 0.7 GB


Kind = Literal["uniform", "unigram", "absolute discounting", "Kneser-Ney", "compressor"]


@dataclass(frozen=True)
class Baseline:
    """The cost of a held-out text under a method that is not a network."""

    name: str
    kind: Kind
    nats_per_char: float

    @property
    def bits_per_char(self) -> float:
        return convert_to_bits(self.nats_per_char)

    @property
    def perplexity(self) -> float:
        return compute_perplexity(self.nats_per_char)


def compute_ngram_baselines(train: Sequence[Integers], held_out: Sequence[Integers]) -> list[Baseline]:
    """uniform, unigram, and both kinds of n-grams, from pieces of ids (n,); one held-out piece has 2 or more at least.

    Those with absolute discounting are 2-gram, ... 7-gram, those of Kneser and Ney are Kneser-Ney order 2, ... order 7.
    The number is the order, as in the literature on compression: the k-gram looks at the k characters before, the
    unigram at none. The alphabet is the set of ids that occur: characters that the training part lacks are one symbol
    if they have one id, as `<unk>` of its Vocab.
    """
    train = take_last(train, LIMIT)
    alphabet = np.unique(np.concatenate([np.unique(piece) for piece in (*train, *held_out)]))
    train, held_out = ([np.searchsorted(alphabet, piece) for piece in part] for part in (train, held_out))

    def compute() -> list[Baseline]:
        num_chars = sum(max(len(piece) - 1, 0) for piece in held_out)
        plain = add_nats(NGrams(train, len(alphabet), 1 + max(ORDERS)), held_out) / num_chars
        kneser_ney = add_nats(KneserNey(train, len(alphabet), 1 + max(ORDERS)), held_out) / num_chars
        return [
            Baseline("uniform", "uniform", math.log(len(alphabet))),
            Baseline("unigram", "unigram", float(plain[0])),
            *(Baseline(f"{order}-gram", "absolute discounting", float(plain[order])) for order in ORDERS),
            *(Baseline(f"Kneser-Ney order {order}", "Kneser-Ney", float(kneser_ney[order])) for order in ORDERS),
        ]

    content = [[piece.astype("<u4").tobytes() for piece in part] for part in (train, held_out)]
    return compute_or_recall("n-grams", content, compute)


def compute_unigram_nats(train: Sequence[Integers], held_out: Sequence[Integers], vocab_size: int) -> float:
    """The nats per character of the held-out pieces (n,) under the frequencies of characters in the training part."""
    unigram = NGrams(take_last(train, LIMIT), vocab_size, 1)
    return float(add_nats(unigram, held_out)[0]) / sum(max(len(piece) - 1, 0) for piece in held_out)


def add_nats(ngrams: NGrams | KneserNey, pieces: Sequence[Integers]) -> Floats:
    """The nats of all pieces (n,), for each n of the n-grams."""
    total: Floats = np.sum([ngrams.compute_nats(piece) for piece in pieces], axis=0)
    return total


def find_best_ngram(baselines: Sequence[Baseline]) -> Baseline:
    """The n-gram of either kind with the lowest cost, the unigram excluded."""
    ngrams = (baseline for baseline in baselines if baseline.kind in ("absolute discounting", "Kneser-Ney"))
    return min(ngrams, key=lambda baseline: baseline.nats_per_char)


def compute_compressor_baselines(train: Sequence[bytes], held_out: Sequence[bytes], num_chars: int) -> list[Baseline]:
    """xz and bzip2, from pieces of text in UTF-8: the growth of the compressed training text by the held-out text.

    In nats for each of the `num_chars` held-out characters.

    The compressors continue to learn from the held-out text, which an n-gram and a model under evaluation do not. xz at
    its strongest sees all of a text up to 64 MiB; bzip2 sorts blocks of 900,000 bytes, and sees only the current block.
    """
    import bz2  # here, because Python may be built without bz2 and lzma, which training does not need
    import lzma

    before, after = b"".join(take_last(train, LIMIT)), b"".join(held_out)

    def xz(data: bytes) -> bytes:
        window = min(max(len(before + after), 4096), WINDOW)
        lzma2 = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}
        return lzma.compress(data, filters=[lzma2])

    def compute() -> list[Baseline]:
        baselines = []
        for name, compress in (("xz", xz), ("bzip2", bz2.compress)):
            num_bytes = len(compress(before + after)) - len(compress(before))
            baselines.append(Baseline(name, "compressor", num_bytes * 8 * math.log(2) / num_chars))
        return baselines

    return compute_or_recall("compressors", [[before], [after]], compute)


class Sliceable(Protocol):
    """A piece of text or of ids."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


Piece = TypeVar("Piece", bound=Sliceable)


def take_last(pieces: Sequence[Piece], limit: int) -> list[Piece]:
    """The last `limit` characters of pieces of text or ids, in pieces."""
    kept: list[Piece] = []
    for piece in reversed(pieces):
        if limit > 0:
            kept.append(piece[-limit:])
            limit -= len(piece)
    return kept[::-1]


# The cache


def compute_or_recall(
    method: str, content: Iterable[Iterable[bytes]], compute: Callable[[], list[Baseline]]
) -> list[Baseline]:
    """The baselines of a method for this content: from the cache, or where it lacks them from `compute`, and kept."""
    key = hashlib.sha256(f"{method} {METHOD}".encode())
    for part in content:
        hashes = [hashlib.sha256(piece).digest() for piece in part]
        key.update(hashlib.sha256(b"".join(hashes)).digest())  # so that other pieces of the same text have another key
    path = find_cache() / "baselines" / f"{key.hexdigest()}.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["sha256"] == compute_checksum(kept["baselines"]):
            return [Baseline(*row) for row in kept["baselines"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing, or damaged
    baselines = compute()
    rows = [[baseline.name, baseline.kind, baseline.nats_per_char] for baseline in baselines]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"baselines": rows, "sha256": compute_checksum(rows)}).encode())
    except (OSError, EnvironmentFault) as error:
        log.debug("the baselines were not kept: %s", error)
    return baselines


def compute_checksum(rows: list[list[Any]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
