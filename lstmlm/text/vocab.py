"""Characters to ids and back, as in d2l section 9.2; or bytes, which are their own ids."""

import codecs
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np

UNK = "<unk>"


class Vocab:
    """Id 0 is `<unk>`, then the reserved tokens, then the tokens by falling frequency.

    Ties keep the order of first appearance. `tokens` may be counted already. `vocab[token]` or `vocab[list]` gives
    ids, `to_tokens` the way back; `encode` and `decode` do the same for whole texts, fast.
    """

    unk: int | None = 0

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int] = (),
        min_freq: int = 0,
        reserved_tokens: Iterable[str] = (),
    ) -> None:
        counter = Counter(tokens)
        self.token_freqs = sorted(counter.items(), key=lambda pair: pair[1], reverse=True)
        kept = [token for token, freq in self.token_freqs if freq >= min_freq]
        self._number([UNK, *reserved_tokens, *kept])

    @classmethod
    def from_tokens(cls, idx_to_token: list[str]) -> "Vocab":
        """The vocabulary whose token k has id k: what a checkpoint stores."""
        vocab = cls()
        vocab._number(idx_to_token)
        return vocab

    def _number(self, tokens: Iterable[str]) -> None:
        self.idx_to_token = list(dict.fromkeys(tokens))
        self.token_to_idx = {token: idx for idx, token in enumerate(self.idx_to_token)}
        characters = {ord(token): idx for token, idx in self.token_to_idx.items() if len(token) == 1}
        self._id_of_code_point = np.zeros(max(characters, default=0) + 1, dtype=np.int64)
        self._id_of_code_point[list(characters)] = list(characters.values())

    def __len__(self) -> int:
        return len(self.idx_to_token)

    def __getitem__(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        if isinstance(tokens, (list, tuple)):
            return [self[token] for token in tokens]
        return self.token_to_idx.get(tokens, self.unk)

    def to_tokens(self, indices: int | Iterable[int]) -> str | list[str]:
        if hasattr(indices, "__iter__"):
            return [self.idx_to_token[int(index)] for index in indices]
        return self.idx_to_token[int(indices)]

    def encode(self, text: str) -> np.ndarray:
        """The ids of the characters of a text, int64 (n,); a character it lacks is `unk`."""
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        known = code_points < len(self._id_of_code_point)
        return np.where(known, self._id_of_code_point[np.where(known, code_points, 0)], self.unk)

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(map(self.idx_to_token.__getitem__, as_list(ids)))

    def make_decoder(self) -> Callable[[int], str]:
        """For a text that comes id by id: a function from the next id to what it adds."""
        return self.idx_to_token.__getitem__

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        """The text of ids in UTF-8."""
        return self.decode(ids).encode("utf-8", "surrogatepass")

    def num_bytes(self, text: str) -> int:
        """The length of a text in UTF-8."""
        return len(text.encode("utf-8", "surrogatepass"))

    def unknown(self, text: str) -> list[tuple[int, str]]:
        """(position, character) of each character of the text that the vocabulary lacks."""
        return [(int(at), text[at]) for at in np.flatnonzero(self.encode(text) == self.unk)]


class ByteVocab(Vocab):
    """The 256 bytes: any file is ids without loss, and nothing is unknown.

    A text is shown, and a prompt read, as UTF-8; a byte that is no UTF-8 is a lone surrogate there and back (PEP 383).
    """

    unk = None

    def __init__(self) -> None:
        self.token_freqs = []
        self._number(map(chr, range(256)))

    def encode(self, text: str | bytes) -> np.ndarray:
        """The bytes of a text, int64 (n,)."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return np.frombuffer(data, dtype=np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return self.to_bytes(ids).decode("utf-8", "surrogateescape")

    def make_decoder(self) -> Callable[[int], str]:
        text = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        return lambda idx: text.decode(bytes([idx]))

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        return bytes(as_list(ids))

    def num_bytes(self, text: str | bytes) -> int:
        return len(self.encode(text))

    def unknown(self, text: str) -> list[tuple[int, str]]:
        return []


def as_list(ids: Iterable[int]) -> list[int]:
    """Ids of any kind as Python's own; an array or a tensor at once."""
    return ids.tolist() if hasattr(ids, "tolist") else [int(idx) for idx in ids]


def restore_vocab(idx_to_token: list[str]) -> Vocab:
    """The vocabulary that a checkpoint lists."""
    return ByteVocab() if idx_to_token[0] == "\0" else Vocab.from_tokens(idx_to_token)
