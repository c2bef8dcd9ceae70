"""The cost of a text under a model: nats are summed first, and `exp` is taken once, at the end.

n = characters of a text, B = windows scored together, T = length of a window.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.evaluation.stepped import SteppedModel
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.model.ensemble import Ensemble
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.labels import add_labels

Model = RNNModel | Ensemble | SteppedModel

LANES = 64  # pieces that are scored side by side
AT_ONCE = 2000  # characters of all lanes that are scored at once: bounds the memory


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

    def __repr__(self) -> str:
        if self.num_chars == 0:
            return "Score(no characters)"
        each = f"{self.nats_per_char:.4f} nats, {self.bits_per_char:.3f} bits, perplexity {self.perplexity:.3f}"
        return f"Score({each} per character; {self.num_chars:,} characters)"


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
    state, inputs = None, make_inputs(model, ids)
    for start in range(0, len(ids) - 1, chunk):
        Y = ids[start + 1 : start + chunk + 1].to(model.W_hq.device, torch.int64)
        X = inputs[start : start + len(Y)].to(Y)
        with evaluation_mode(model):
            logits, state = model(X[None], state)
        yield functional.cross_entropy(logits, Y, reduction="none").cpu().double()


def score_chars(model: Model, pieces: Sequence[Tensor]) -> list[Tensor]:
    """The cost in nats of every scored character of the pieces (n,), in their order, in tensors of any length."""
    if len([piece for piece in pieces if len(piece) > 1]) == 1:
        return list(iterate_nats(model, pieces))
    parts: dict[int, list[Tensor]] = {k: [] for k in range(len(pieces))}
    for k, nats in iterate_lanes(model, pieces):
        parts[k].append(nats)
    return list(itertools.chain.from_iterable(parts.values()))


def iterate_nats(model: Model, pieces: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the cost in nats of every scored character of the pieces (n,), in no order that is promised.

    A single piece is one stream. Several are scored side by side, which changes their scores by rounding alone.
    """
    scored = [piece for piece in pieces if len(piece) > 1]
    if len(scored) == 1:
        return iterate_char_nats(model, scored[0])
    return (nats for _, nats in iterate_lanes(model, scored))


@torch.no_grad()
def iterate_lanes(model: Model, pieces: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of a piece and the cost of its next characters, for pieces (n,) that are scored side by side.

    Each piece is a stream of its own, in a lane of a batch; up to LANES of similar length make a batch. A lane ends
    with its piece, so nothing is computed that is not a character. Each tensor is float64 and on the CPU.
    """
    inputs = [make_inputs(model, piece) for piece in pieces]
    longest_first = sorted((k for k, piece in enumerate(pieces) if len(piece) > 1), key=lambda k: -len(pieces[k]))
    for first in range(0, len(longest_first), LANES):
        lanes = longest_first[first : first + LANES]
        state, start = None, 0
        while lanes:
            T = min(max(1, AT_ONCE // len(lanes)), len(pieces[lanes[-1]]) - 1 - start)
            X, Y = (
                torch.stack([text[k][begin : begin + T].to(torch.int64) for k in lanes]).to(model.W_hq.device)
                for text, begin in ((inputs, start), (pieces, start + 1))
            )
            with evaluation_mode(model):
                logits, state = model(X, state)
            nats = functional.cross_entropy(logits, Y.T.flatten(), reduction="none").cpu().double()
            yield from zip(lanes, nats.view(T, len(lanes)).T.contiguous(), strict=True)
            start += T
            lanes = [k for k in lanes if len(pieces[k]) - 1 > start]
            state = keep_lanes(state, len(lanes))


def make_inputs(model: Model, ids: Tensor) -> Tensor:
    """The ids (n,) of a text as the model reads them: with their labels, if it has some (text/labels.py)."""
    if model.num_labels == 0:
        return ids
    return torch.from_numpy(add_labels(ids.cpu().numpy(), model.num_labels, model.W_hq.shape[1]))


def keep_lanes(state: Any, count: int) -> Any:
    """The state of the first `count` lanes: of one model parts (L, B, H), of an ensemble a tuple of such states."""
    if isinstance(state, Tensor):
        return state[:, :count].contiguous()
    return tuple(keep_lanes(part, count) for part in state)


def sum_scores(nats: Iterable[Tensor]) -> Score:
    """The score of characters whose costs are in tensors (n,)."""
    return sum((Score(part.sum().item(), len(part)) for part in nats), Score(0.0, 0))


def evaluate_pieces(model: Model, pieces: Sequence[Tensor]) -> Score:
    """Score the pieces of a part, each (n,) as a stream of its own: the first character of each is not scored."""
    return sum_scores(iterate_nats(model, pieces))


@torch.no_grad()
def evaluate_windows(model: Model, pieces: Iterable[Tensor], length: int) -> Score:
    """Score windows of `length` characters side by side, each from the zero state, as transformers are scored.

    As in a stream, every character but the first of a piece is scored once. But the model sees only one character
    before the first scored character of a window.
    """
    score = Score(0.0, 0)
    with evaluation_mode(model):
        texts = ((make_inputs(model, piece), piece) for piece in pieces)
        for X, Y in itertools.chain.from_iterable(cut_windows(*text, length) for text in texts):
            logits, _ = model(X.to(model.W_hq.device, torch.int64))
            targets = Y.T.flatten().to(logits.device, torch.int64)  # time-major, as the logits
            nats = functional.cross_entropy(logits, targets, reduction="none").cpu().double().sum().item()
            score += Score(nats, Y.numel())
    return score


def cut_windows(inputs: Tensor, ids: Tensor, length: int, together: int = 64) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield X and Y, each (B, length), for B <= `together` windows of ids (n,); then the remainder, (1, remainder)."""
    X, Y = inputs[:-1], ids[1:]
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
