"""What a text costs a model: sums of nats first, one `exp` at the end."""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.model.rnn_model import RNNModel


@dataclass(frozen=True)
class Score:
    """Total nats over `num_chars` scored characters."""

    nats: float
    num_chars: int

    def __add__(self, other: "Score") -> "Score":
        return Score(self.nats + other.nats, self.num_chars + other.num_chars)

    @property
    def nats_per_char(self) -> float:
        return self.nats / self.num_chars

    @property
    def bits_per_char(self) -> float:
        return self.nats_per_char / math.log(2)

    @property
    def perplexity(self) -> float:
        try:
            return math.exp(self.nats_per_char)
        except OverflowError:
            return math.inf


def evaluate(model: RNNModel, ids: Tensor, chunk: int = 1000) -> Score:
    """Score ids (n,) as one stream: batch 1, from the zero state, the state carried; the first is not scored.

    `chunk` bounds the memory and does not change the result.
    """
    return Score(sum(nats.sum().item() for nats in iterate_char_nats(model, ids, chunk)), len(ids) - 1)


@torch.no_grad()
def iterate_char_nats(model: RNNModel, ids: Tensor, chunk: int = 1000) -> Iterator[Tensor]:
    """What each of ids (n,) but the first costs in one stream, in nats: float64, on the CPU, `chunk` at a time."""
    was_training = model.training
    model.eval()
    state = None
    for start in range(0, len(ids) - 1, chunk):
        X = ids[start : start + chunk + 1].to(model.W_hq.device, torch.int64)
        logits, state = model(X[None, :-1], state)
        yield functional.cross_entropy(logits, X[1:], reduction="none").cpu().double()
    model.train(was_training)


def evaluate_pieces(model: RNNModel, pieces: Iterable[Tensor]) -> Score:
    """Score the pieces of a part, each as a stream of its own: of each the first character is not scored."""
    return sum((evaluate(model, piece) for piece in pieces if len(piece) > 1), Score(0.0, 0))


@torch.no_grad()
def evaluate_windows(model: RNNModel, pieces: Iterable[Tensor], length: int) -> Score:
    """Score windows of `length` characters side by side, each from the zero state, as transformers are scored.

    As in a stream every character but the first of a piece is scored once; but what a window begins with is known by
    one character alone.
    """
    was_training = model.training
    model.eval()
    score = Score(0.0, 0)
    for X, Y in itertools.chain.from_iterable(cut_windows(piece, length) for piece in pieces):
        logits, _ = model(X.to(model.W_hq.device, torch.int64))
        targets = Y.T.flatten().to(logits.device, torch.int64)  # time-major, as the logits
        nats = functional.cross_entropy(logits, targets, reduction="none").cpu().double().sum().item()
        score += Score(nats, Y.numel())
    model.train(was_training)
    return score


def cut_windows(ids: Tensor, length: int, together: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """X and Y (B, length), B windows at a time, of ids (n,); then (1, what is left)."""
    X, Y = ids[:-1], ids[1:]
    whole = len(X) // length * length
    if whole:
        rows = (part[:whole].view(-1, length).split(together) for part in (X, Y))
        yield from zip(*rows, strict=True)
    if whole < len(X):
        yield X[None, whole:], Y[None, whole:]


def take_first(pieces: list[Tensor], num_chars: int | None) -> list[Tensor]:
    """The pieces up to the first so many characters that are scored; None: all of them."""
    if num_chars is None:
        return pieces
    kept = []
    for piece in pieces:
        kept.append(piece[: num_chars + 1])
        num_chars -= len(kept[-1]) - 1
    return [piece for piece in kept if len(piece) > 1]
