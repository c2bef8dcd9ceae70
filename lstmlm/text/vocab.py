"""Characters to ids and back, as in d2l section 9.2; or bytes, which are their own ids. n = characters of a text."""

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, overload

import numpy as np

from lstmlm.system.arrays import Ids

Text = str | bytes  # the text of a corpus: bytes where data.vocab=byte

UNK = "<unk>"
# Symbols of documents: codes that Unicode keeps from being characters of any text
BOUNDARY = "\ufdd0"  # before each document and after it
LABEL_MARKS = [chr(code) for code in range(0xFDD1, 0xFDF0)]  # in a text with labels, each before the documents of one
MARKS = (BOUNDARY, *LABEL_MARKS)


class Vocab:
    """Id 0 is `<unk>`, then come the reserved tokens, then the tokens by falling frequency.

    Ties keep the order of first appearance; tokens rarer than `min_freq` are left out. `tokens` may be counts. As in
    d2l, `vocab[token]` or `vocab[list]` gives ids and `to_tokens` the tokens back; `encode` and `decode` do the same
    for whole texts, fast.
    """

    unk: int | None = 0  # the id of `<unk>`; None: nothing is unknown
    labels: dict[str, str]  # of documents: each label and the mark that stands for it in a text

    def __init__(
        self,
        tokens: Iterable[str] | Mapping[str, int] = (),
        min_freq: int = 0,
        reserved_tokens: Iterable[str] = (),
    ) -> None:
        counter = Counter(tokens)
        self.token_freqs = sorted(counter.items(), key=lambda pair: pair[1], reverse=True)
        kept = [token for token, freq in self.token_freqs if freq >= min_freq]
        self._assign_ids([UNK, *reserved_tokens, *kept])

    @classmethod
    def from_tokens(cls, idx_to_token: list[str]) -> "Vocab":
        """The vocabulary whose token k has id k: the inverse of `idx_to_token`, which a checkpoint records."""
        vocab = cls()
        vocab._assign_ids(idx_to_token)
        return vocab

    def _assign_ids(self, tokens: Iterable[str]) -> None:
        self.idx_to_token = list(dict.fromkeys(tokens))
        self.token_to_idx = {token: idx for idx, token in enumerate(self.idx_to_token)}
        self.labels = dict(zip(filter(None, map(read_label, self.idx_to_token)), LABEL_MARKS, strict=False))
        self._idx_to_text = [self.labels.get(read_label(token) or "", token) for token in self.idx_to_token]
        characters = {ord(text): idx for idx, text in enumerate(self._idx_to_text) if len(text) == 1}
        self._id_of_code_point = np.zeros(max(characters, default=0) + 1, dtype=np.int64)
        self._id_of_code_point[list(characters)] = list(characters.values())

    @property
    def boundary(self) -> int | None:
        """The id of BOUNDARY; None for a vocabulary of one stream of text."""
        return self.token_to_idx.get(BOUNDARY)

    def __len__(self) -> int:
        return len(self.idx_to_token)

    @overload
    def __getitem__(self, tokens: str) -> int: ...
    @overload
    def __getitem__(self, tokens: list[str] | tuple[str, ...]) -> list[int]: ...
    def __getitem__(self, tokens: str | list[str] | tuple[str, ...]) -> int | list[int]:
        if isinstance(tokens, (list, tuple)):
            return [self[token] for token in tokens]
        if self.unk is None:
            return self.token_to_idx[tokens]
        return self.token_to_idx.get(tokens, self.unk)

    @overload
    def to_tokens(self, indices: int) -> str: ...
    @overload
    def to_tokens(self, indices: Iterable[int]) -> list[str]: ...
    def to_tokens(self, indices: int | Iterable[int]) -> str | list[str]:
        if isinstance(indices, Iterable):
            return [self.idx_to_token[int(index)] for index in indices]
        return self.idx_to_token[int(indices)]

    def encode(self, text: Text) -> Ids:
        """The ids (n,) of the characters of a text; a character that the vocabulary lacks is `unk`."""
        assert isinstance(text, str), "bytes are for a ByteVocab"
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        known = code_points < len(self._id_of_code_point)
        return np.where(known, self._id_of_code_point[np.where(known, code_points, 0)], np.int64(self.unk or 0))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids (n,)."""
        return "".join(map(self._idx_to_text.__getitem__, as_list(ids)))

    def make_decoder(self) -> "TextDecoder":
        """For a text that comes id by id."""
        return TextDecoder(self._idx_to_text)

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        """The text of ids (n,) in UTF-8."""
        return self.decode(ids).encode("utf-8", "surrogatepass")

    def to_file(self, text: str) -> bytes:
        """A text as it is written into a file; half a character (a lone surrogate), which UTF-8 lacks, as an escape."""
        return text.encode("utf-8", "backslashreplace")

    def count_bytes(self, text: Text) -> int:
        """The length of a text in UTF-8; a mark of documents counts as the line end that it stands for."""
        assert isinstance(text, str), "bytes are for a ByteVocab"
        return len(text.encode("utf-8", "surrogatepass")) - 2 * sum(map(text.count, MARKS))

    def find_unknown(self, text: str) -> list[tuple[int, str]]:
        """(position, character) of each character of the text that the vocabulary lacks."""
        return [(int(at), text[at]) for at in np.flatnonzero(self.encode(text) == self.unk)]


class ByteVocab(Vocab):
    """The 256 bytes: every file has ids, and nothing is unknown.

    A text is shown, and a prompt read, as UTF-8; a byte that is not part of UTF-8 becomes a lone surrogate and back
    (PEP 383).
    """

    unk = None

    def __init__(self) -> None:
        self.token_freqs = []
        self._assign_ids(map(chr, range(256)))

    def encode(self, text: Text) -> Ids:
        """The bytes of a text as ids (n,)."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return np.frombuffer(data, dtype=np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return self.to_bytes(ids).decode("utf-8", "surrogateescape")

    def make_decoder(self) -> "TextDecoder":
        return ByteDecoder(self.idx_to_token)

    def to_file(self, text: str) -> bytes:
        """The bytes themselves."""
        return self.to_bytes(self.encode(text))

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        return bytes(as_list(ids))

    def count_bytes(self, text: Text) -> int:
        return len(self.encode(text))

    def find_unknown(self, text: str) -> list[tuple[int, str]]:
        return []


class TextDecoder:
    """From ids that come one by one to the characters that each adds to the text."""

    def __init__(self, idx_to_token: list[str]) -> None:
        self.idx_to_token = idx_to_token

    def __call__(self, idx: int) -> str:
        """The characters that the next id adds."""
        return self.idx_to_token[idx]

    def finish(self) -> str:
        """What is held back at the end of the text; the next id then begins anew."""
        return ""

    def copy(self) -> "TextDecoder":
        return self


class ByteDecoder(TextDecoder):
    """Bytes that may be the start of a character in UTF-8 are held back until the others are there."""

    def __init__(self, idx_to_token: list[str]) -> None:
        super().__init__(idx_to_token)
        self.bytes = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def __call__(self, idx: int) -> str:
        return self.bytes.decode(bytes([idx]))

    def finish(self) -> str:
        return self.bytes.decode(b"", final=True)

    def copy(self) -> "ByteDecoder":
        twin = ByteDecoder(self.idx_to_token)
        twin.bytes.setstate(self.bytes.getstate())
        return twin


def make_label_token(label: str) -> str:
    """The token of a label, which is no character."""
    return BOUNDARY + label


def read_label(token: str) -> str | None:
    """The label of a token; None of any other token."""
    return token[1:] if token.startswith(BOUNDARY) and len(token) > 1 else None


def as_list(ids: Any) -> list[int]:
    """The ids of an array, a tensor or any iterable as a list of Python's integers."""
    return list(ids.tolist() if hasattr(ids, "tolist") else map(int, ids))


def restore_vocab(idx_to_token: list[str]) -> Vocab:
    """The vocabulary whose tokens a checkpoint records."""
    return ByteVocab() if idx_to_token[0] == "\0" else Vocab.from_tokens(idx_to_token)
