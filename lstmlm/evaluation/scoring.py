"""The cost of a text under a model: nats are summed first, and `exp` is taken once, at the end.

n = characters of a text, B = windows scored together, T = length of a window.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.model.ensemble import Ensemble
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel

Model = RNNModel | Ensemble


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
        return convert_to_bits(self.nats_per_char)

    @property
    def perplexity(self) -> float:
        return compute_perplexity(self.nats_per_char)


def evaluate(model: Model, ids: Tensor, chunk: int = 1000) -> Score:
    """Score ids (n,) as one stream: batch size 1, from the zero state, with the state carried.

    The first character is not scored. `chunk` bounds the memory and does not change the result.
    """
    return Score(sum(nats.sum().item() for nats in iterate_char_nats(model, ids, chunk)), len(ids) - 1)


@torch.no_grad()
def iterate_char_nats(model: Model, ids: Tensor, chunk: int = 1000) -> Iterator[Tensor]:
    """Yield the cost in nats of every character of ids (n,) but the first, `chunk` characters at a time.

    The text is one stream, as in `evaluate`. Each tensor is float64 and on the CPU. Between two of them the model is
    in the mode that it was in before, so a consumer may stop early.
    """
    state = None
    for start in range(0, len(ids) - 1, chunk):
        X = ids[start : start + chunk + 1].to(model.W_hq.device, torch.int64)
        with evaluation_mode(model):
            logits, state = model(X[None, :-1], state)
        yield functional.cross_entropy(logits, X[1:], reduction="none").cpu().double()


def score_chars(model: Model, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the cost in nats of every scored character of the pieces, as `iterate_char_nats` does of each."""
    return itertools.chain.from_iterable(iterate_char_nats(model, piece) for piece in pieces if len(piece) > 1)


def sum_scores(nats: Iterable[Tensor]) -> Score:
    """The score of characters whose costs are in tensors (n,)."""
    return sum((Score(part.sum().item(), len(part)) for part in nats), Score(0.0, 0))


def evaluate_pieces(model: Model, pieces: Iterable[Tensor]) -> Score:
    """Score the pieces of a part, each (n,) as a stream of its own: the first character of each is not scored."""
    return sum((evaluate(model, piece) for piece in pieces if len(piece) > 1), Score(0.0, 0))


@torch.no_grad()
def evaluate_windows(model: Model, pieces: Iterable[Tensor], length: int) -> Score:
    """Score windows of `length` characters side by side, each from the zero state, as transformers are scored.

    As in a stream, every character but the first of a piece is scored once. But the model sees only one character
    before the first scored character of a window.
    """
    score = Score(0.0, 0)
    with evaluation_mode(model):
        for X, Y in itertools.chain.from_iterable(cut_windows(piece, length) for piece in pieces):
            logits, _ = model(X.to(model.W_hq.device, torch.int64))
            targets = Y.T.flatten().to(logits.device, torch.int64)  # time-major, as the logits
            nats = functional.cross_entropy(logits, targets, reduction="none").cpu().double().sum().item()
            score += Score(nats, Y.numel())
    return score


def cut_windows(ids: Tensor, length: int, together: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield X and Y, each (B, length), for B <= `together` windows of ids (n,); then the remainder, (1, remainder)."""
    X, Y = ids[:-1], ids[1:]
    whole = len(X) // length * length
    if whole:
        yield from zip(*(torch.split(part[:whole].view(-1, length), together) for part in (X, Y)), strict=True)
    if whole < len(X):
        yield X[None, whole:], Y[None, whole:]


def take_first(pieces: list[Tensor], num_chars: int | None) -> list[Tensor]:
    """The pieces (n,), cut so that the first `num_chars` scored characters are left; None: all of them."""
    if num_chars is None:
        return pieces
    kept = []
    for piece in pieces:
        kept.append(piece[: num_chars + 1])
        num_chars -= len(kept[-1]) - 1
    return [piece for piece in kept if len(piece) > 1]
