"""What held-out text costs without a network: n-grams and compressors that know the training part, kept by content.

Train and held-out parts come in pieces: an n-gram does not look across the ends of a piece, and the first character of
each held-out piece is not scored, as with the model.
"""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lstmlm.evaluation.ngram import NGrams
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import EnvironmentFault
from lstmlm.system.paths import find_cache

log = logging.getLogger("lstmlm")

METHOD = 2  # to be raised with any change of the numbers below: what the cache holds is then not found
ORDERS = range(2, 8)
LIMIT = 10_000_000  # characters (xz, bzip2: bytes) of the training part that are read, its last: seconds, < 1 GB
WINDOW = 2**26  # bytes that xz looks back at most, as at its own level 9: 0.7 GB


@dataclass(frozen=True)
class Baseline:
    name: str
    nats_per_char: float

    @property
    def bits_per_char(self) -> float:
        return convert_to_bits(self.nats_per_char)

    @property
    def perplexity(self) -> float:
        return compute_perplexity(self.nats_per_char)


def compute_ngram_baselines(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> list[Baseline]:
    """uniform, unigram, 2-gram, ... 7-gram, from pieces of ids, (n,) each; one held-out piece has 2 or more.

    The number is the order, as those who compress count it: the k-gram looks at the k characters before, the unigram
    at none.
    The alphabet is the characters that occur; those that the training part lacks count as one, `<unk>`, if they have
    one id, as in a Vocab of the training part.
    """
    train = take_last(train, LIMIT)
    alphabet = np.unique(np.concatenate([np.unique(piece) for piece in (*train, *held_out)]))
    train, held_out = ([np.searchsorted(alphabet, piece) for piece in part] for part in (train, held_out))

    def compute() -> list[Baseline]:
        ngrams = NGrams(train, len(alphabet), 1 + max(ORDERS))
        num_chars = sum(max(len(piece) - 1, 0) for piece in held_out)
        nats = sum(ngrams.nats(piece) for piece in held_out) / num_chars
        orders = [Baseline(f"{order}-gram", float(nats[order])) for order in ORDERS]
        return [Baseline("uniform", math.log(len(alphabet))), Baseline("unigram", float(nats[0])), *orders]

    content = [[piece.astype("<u4").tobytes() for piece in part] for part in (train, held_out)]
    return compute_or_recall("n-grams", content, compute)


def compute_unigram_nats(train: Sequence[np.ndarray], held_out: Sequence[np.ndarray], vocab_size: int) -> float:
    """What the held-out pieces cost, a character, if only the frequencies of the training part are known."""
    unigram = NGrams(take_last(train, LIMIT), vocab_size, 1)
    return sum(unigram.nats(piece)[0] for piece in held_out) / sum(max(len(piece) - 1, 0) for piece in held_out)


def find_best_ngram(baselines: Sequence[Baseline]) -> Baseline:
    """The lowest from 2-gram on."""
    return min(
        (baseline for baseline in baselines if baseline.name.endswith("-gram")),
        key=lambda baseline: baseline.nats_per_char,
    )


def compute_compressor_baselines(train: Sequence[bytes], held_out: Sequence[bytes], num_chars: int) -> list[Baseline]:
    """xz and bzip2, from pieces of text in UTF-8: by how much train and held-out text together exceed train alone.

    In nats for each of the `num_chars` characters that are held out.

    They go on learning while they read, which an n-gram and a model under evaluation do not. xz at its strongest
    sees all of a text up to 64 MiB; bzip2 sorts blocks of 900,000 bytes, and sees nothing of the ones before.
    """
    import bz2  # here, because a Python may be built without them, and training needs neither
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
            baselines.append(Baseline(name, num_bytes * 8 * math.log(2) / num_chars))
        return baselines

    return compute_or_recall("compressors", [[before], [after]], compute)


def take_last(pieces: Sequence, limit: int) -> list:
    """The last `limit` characters of pieces of text or ids, in pieces."""
    kept = []
    for piece in reversed(pieces):
        if limit > 0:
            kept.append(piece[-limit:])
            limit -= len(piece)
    return kept[::-1]


# The cache


def compute_or_recall(
    what: str, content: Iterable[Iterable[bytes]], compute: Callable[[], list[Baseline]]
) -> list[Baseline]:
    """What `compute` gives for this content: from the cache, if it is there and whole, else computed and put there."""
    key = hashlib.sha256(f"{what} {METHOD}".encode())
    for part in content:
        hashes = [hashlib.sha256(piece).digest() for piece in part]
        key.update(hashlib.sha256(b"".join(hashes)).digest())  # so that pieces are not confused with their sum
    path = find_cache() / "baselines" / f"{key.hexdigest()}.json"
    try:
        kept = json.loads(path.read_bytes())
        if kept["sha256"] == compute_checksum(kept["baselines"]):
            return [Baseline(name, nats) for name, nats in kept["baselines"].items()]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged
    baselines = compute()
    rows = {baseline.name: baseline.nats_per_char for baseline in baselines}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"baselines": rows, "sha256": compute_checksum(rows)}).encode())
    except (OSError, EnvironmentFault) as error:
        log.debug("the baselines were not kept: %s", error)
    return baselines


def compute_checksum(rows: dict[str, float]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
