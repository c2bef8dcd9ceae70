"""The text as minibatches of ids, by the book's names: d2l 0.17, sections 8.2 and 8.3.

n = characters, B = batch_size, T = num_steps. A corpus is a list of n ids. X and Y are (B, T) ids; Y is X one character
later. Offsets and order are drawn from torch's global generator: `torch.manual_seed` fixes them.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.system.errors import BadInput, LstmlmError
from lstmlm.system.paths import find_shipped
from lstmlm.text import vocab
from lstmlm.text.batches import RandomWindows, SequentialStreams, Streams
from lstmlm.text.files import list_files
from lstmlm.text.preprocess import PREPROCESS
from lstmlm.text.published import find_text

Batches = Iterator[tuple[Tensor, Tensor]]


def read_time_machine() -> list[str]:
    """The 3,221 lines of The Time Machine in lower-case letters and spaces; downloaded at the first use."""
    try:
        text = find_text("time_machine").read_text(encoding="utf-8")
    except LstmlmError as error:
        raise type(error)(f"{error}; or use load_data_text, which needs no download") from None
    return [PREPROCESS["d2l_classic"](line) for line in text.splitlines()]


def tokenize(lines: Sequence[str], token: str = "word") -> list[list[str]]:
    """The tokens of each line: its words, or its characters (token="char")."""
    if token not in ("word", "char"):
        raise BadInput(f"token: no such choice {token!a}: word or char")
    return [line.split() if token == "word" else list(line) for line in lines]


class Vocab(vocab.Vocab):
    """lstmlm's vocabulary, with the book's constructor: `tokens` is a list of tokens, or of lists of tokens."""

    def __init__(
        self,
        tokens: Iterable[str] | Iterable[list[str]] | None = None,
        min_freq: int = 0,
        reserved_tokens: Iterable[str] | None = None,
    ) -> None:
        lists = ([token] if isinstance(token, str) else token for token in tokens or ())
        super().__init__(itertools.chain.from_iterable(lists), min_freq, reserved_tokens or ())


def load_corpus_time_machine(max_tokens: int = -1) -> tuple[list[int], Vocab]:
    """(the first `max_tokens` characters of The Time Machine as ids, the vocabulary of the whole); -1: all 170,580.

    As in the book, lines are joined without a space, so the words at their ends are glued together.
    """
    return number_text("".join(read_time_machine()), max_tokens)


def load_corpus_text(path: str | Path | None = None, max_tokens: int = -1) -> tuple[list[int], Vocab]:
    """The same of any text in UTF-8: a file, a folder or a pattern; None is The Tide Clock, which comes with lstmlm.

    The text becomes lower-case letters and single spaces, as in d2l 1.0; letters of any script are kept.
    """
    files = [find_shipped("data") / "tide_clock.txt"] if path is None else list_files(path, "path").files
    text = keep_letters("\n".join(map(read_utf8, files)))
    if not text.strip():
        raise BadInput(f"path: {path} holds no letters: give a text file")
    return number_text(text, max_tokens)


def read_utf8(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"path: {file} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def keep_letters(text: str) -> str:
    """The text in lower case, with a space for every run of characters that are no letters and no marks of letters."""
    others = {ord(char): " " for char in set(text) if unicodedata.category(char)[0] not in "LM"}
    return re.sub(" +", " ", text.translate(others)).lower()


def number_text(text: str, max_tokens: int) -> tuple[list[int], Vocab]:
    """(the ids of the first `max_tokens` characters, the vocabulary of all); a max_tokens of 0 or less keeps all."""
    vocabulary = Vocab(text)
    corpus: list[int] = vocabulary.encode(text).tolist()
    return (corpus[:max_tokens] if max_tokens > 0 else corpus), vocabulary


def seq_data_iter_random(corpus: Sequence[int], batch_size: int, num_steps: int) -> Batches:
    """An epoch of windows of T characters that do not overlap, shuffled, from a random offset."""
    return iterate_epoch(RandomWindows, corpus, batch_size, num_steps)


def seq_data_iter_sequential(corpus: Sequence[int], batch_size: int, num_steps: int) -> Batches:
    """An epoch in which row i of each batch continues row i of the batch before, from a random offset."""
    return iterate_epoch(SequentialStreams, corpus, batch_size, num_steps)


def iterate_epoch(streams: type[Streams], corpus: Sequence[int], batch_size: int, num_steps: int) -> Batches:
    if len(corpus) <= batch_size * num_steps:
        needed = f"{batch_size} rows of {num_steps} characters need a text of at least {batch_size * num_steps + 1}"
        raise BadInput(f"batch_size, num_steps: {needed}, and this one has {len(corpus)}: make them smaller")
    return streams(torch.tensor(corpus), batch_size, num_steps).epoch(torch.default_generator)


class SeqDataLoader:
    """Every iteration over it is an epoch of batches (X, Y). Attributes: corpus, vocab, batch_size, num_steps.

    `load_corpus` is a function from max_tokens to (corpus, vocab).
    """

    def __init__(
        self,
        batch_size: int,
        num_steps: int,
        use_random_iter: bool,
        max_tokens: int,
        load_corpus: Callable[[int], tuple[list[int], Vocab]] = load_corpus_time_machine,
    ) -> None:
        self.data_iter_fn = seq_data_iter_random if use_random_iter else seq_data_iter_sequential
        self.corpus, self.vocab = load_corpus(max_tokens)
        self.batch_size, self.num_steps = batch_size, num_steps

    def __iter__(self) -> Batches:
        return self.data_iter_fn(self.corpus, self.batch_size, self.num_steps)


def load_data_time_machine(
    batch_size: int, num_steps: int, use_random_iter: bool = False, max_tokens: int = 10000
) -> tuple[SeqDataLoader, Vocab]:
    """(train_iter, vocab) of the first `max_tokens` characters of The Time Machine."""
    train_iter = SeqDataLoader(batch_size, num_steps, use_random_iter, max_tokens)
    return train_iter, train_iter.vocab


def load_data_text(
    batch_size: int,
    num_steps: int,
    path: str | Path | None = None,
    use_random_iter: bool = False,
    max_tokens: int = 10000,
) -> tuple[SeqDataLoader, Vocab]:
    """(train_iter, vocab) of the first `max_tokens` characters of a text: see `load_corpus_text`."""
    load_corpus = functools.partial(load_corpus_text, path)
    train_iter = SeqDataLoader(batch_size, num_steps, use_random_iter, max_tokens, load_corpus)
    return train_iter, train_iter.vocab
