"""A text on its way: characters are read and drawn in turns, and the state is kept.

N = samples drawn together, V = vocab_size.
"""

import copy
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from lstmlm.generation.sampling import compute_distribution, draw, draw_uniforms
from lstmlm.generation.stepper import State, Stepper
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import Vocab

PATIENCE = 0.02  # seconds that what was drawn may wait for what is drawn in the same call


@dataclass(frozen=True)
class Stretch:
    """n characters of each sample."""

    ids: Array  # (n, N)
    logits: Array  # (n, N, V), the model's own, as they were before each draw

    @cached_property
    def surprisals(self) -> Array:
        """-log probability of each, in nats, (n, N): of the model alone, at temperature 1, as `score` counts it."""
        shifted = self.logits.astype(np.float64) - self.logits.max(-1, keepdims=True)
        return np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, self.ids[..., None], -1)[..., 0]


class Drawn(NamedTuple):
    """A character of each sample: the kth of a stretch."""

    ids: Array  # (N,)
    stretch: Stretch
    k: int

    def surprisals(self) -> Array:
        """As in Stretch, (N,)."""
        return self.stretch.surprisals[self.k]


class Writer:
    """N samples on their way: `read` takes characters in, `write` draws what follows, in any turns.

    `unk` is the id that is never drawn. A copy is a place to come back to.
    """

    def __init__(self, model: RNNModel, settings: SamplingSettings, seeds: list[int], unk: int | None) -> None:
        self.stepper, self.settings, self.seeds, self.unk = Stepper(model), settings, seeds, unk
        self.state: State | None = None
        self.logits: Array | None = None  # of the next character, (N, V); None: nothing was read yet
        self.seen = deque(maxlen=settings.penalty_window)
        self.count = 0  # characters drawn of each sample

    def read(self, ids: Array) -> None:
        """Ids (n,), n >= 1, into every sample, at first from the zero state: the book's warm-up."""
        logits, state = self.stepper.read(ids, self.state)
        N = len(self.seeds)
        if self.state is None:  # read once, for all
            logits = logits.repeat(N, axis=0)
            state = [tuple(part.repeat(N, axis=0) for part in layer_state) for layer_state in state]
        self.logits, self.state = logits, state
        self.seen.extend(np.full(N, id) for id in ids[-self.seen.maxlen :])

    def allowed(self) -> Array:
        """The logits of the next character, (N, V), float64, with `unk` out of reach."""
        logits = self.logits.astype(np.float64)
        if self.unk is not None:
            logits[:, self.unk] = -np.inf
        return logits

    def write(self, length: float = math.inf) -> Iterator[Drawn]:
        """The `length` characters that follow. Each is read again before it is given out.

        They may be drawn a stretch at once, but those that nobody asked for leave no trace.
        """
        for numbers in iterate_uniforms(self.seeds, self.count, length, one_by_one=self.stepper.native is None):
            stretch, logits, states = self.drawn(numbers)
            for k, ids in enumerate(stretch.ids):
                self.logits, self.state = logits[k], states[k]
                self.seen.append(ids)
                self.count += 1
                yield Drawn(ids, stretch, k)

    def drawn(self, numbers: Array) -> tuple[Stretch, Array, Sequence[State]]:
        """Characters drawn with numbers (n, N), and after each of them logits (n, N, V) and state."""
        if self.stepper.native:
            seen = () if self.settings.repetition_penalty == 1 else self.seen
            ids, logits, states = self.stepper.native.draws(
                self.state, self.logits, np.array(seen, np.int64), numbers, self.unk, self.settings
            )
            return Stretch(ids, logits[:-1]), logits[1:], states[1:]
        (number,) = numbers
        ids = draw(compute_distribution(self.allowed(), self.seen, self.settings), number)
        logits, state = self.stepper.step(ids, self.state)
        return Stretch(ids[None], self.logits[None]), logits[None], [state]

    def copy(self) -> "Writer":
        twin = copy.copy(self)  # arrays are never changed in place
        twin.seen = self.seen.copy()
        twin.logits, twin.state = copy.deepcopy((self.logits, self.state))  # not views, which keep a whole stretch
        return twin


def iterate_uniforms(seeds: list[int], start: int, length: float, one_by_one: bool) -> Iterator[Array]:
    """Uniform numbers (n, N) for `length` characters; n is 1, or doubles until a stretch takes half of PATIENCE."""
    size = 1
    for block in draw_uniforms(seeds, start):
        while len(block):
            if length <= 0:
                return
            n = min(size, len(block), length)
            began = time.perf_counter()
            yield block[:n]
            if not one_by_one and n == size and time.perf_counter() - began < PATIENCE / 2:
                size *= 2
            block, length = block[n:], length - n


def write_pieces(
    writer: Writer, vocab: Vocab, length: float, stop: tuple[str, ...] = ()
) -> Iterator[tuple[list[str | None], Drawn]]:
    """What each sample gains by each of `length` (or inf) characters; None after it has ended with a stop string.

    Ends early when all have.
    """
    N, reach = len(writer.seeds), max(map(len, stop), default=0)
    decoders, ends, stopped = [vocab.decoder() for _ in range(N)], [""] * N, [False] * N
    for drawn in writer.write(length):
        gained = [None if stopped[k] else decoders[k](id) for k, id in enumerate(drawn.ids.tolist())]
        if stop:
            ends = [(end + (piece or ""))[-reach:] for end, piece in zip(ends, gained, strict=True)]
            stopped = [end.endswith(stop) for end in ends]
        yield gained, drawn
        if all(stopped):
            return


def group_by_sample(steps: Iterator[tuple[list[str | None], Drawn]], N: int) -> list[Iterable[tuple[str, float]]]:
    """The pieces of each of N samples with their surprisals (nats): of one alone as they come, else when all are there.

    `steps` as `write_pieces` gives them.
    """
    costed = ((gained, drawn.surprisals().tolist()) for gained, drawn in steps)
    if N == 1:
        return [((piece, cost) for (piece,), (cost,) in costed)]
    samples = [[] for _ in range(N)]
    for gained, costs in costed:
        for sample, piece, cost in zip(samples, gained, costs, strict=True):
            if piece is not None:
                sample.append((piece, cost))
    return samples


def choose_first_character(vocab: Vocab) -> str:
    """What an empty prompt is read as: a line end, or without one the most frequent character."""
    return "\n" if "\n" in vocab.token_to_idx else vocab.to_tokens(1)


def start_writer(model: RNNModel, vocab: Vocab, prompt: str, settings: SamplingSettings, seeds: list[int]) -> Writer:
    """A Writer that has read the prompt."""
    writer = Writer(model, settings, seeds, vocab.unk)
    writer.read(vocab.encode(prompt or choose_first_character(vocab)))
    return writer


def generate(model: RNNModel, vocab: Vocab, prompt: str, length: int, temperature: float, seed: int) -> str:
    """The prompt and `length` characters more."""
    writer = start_writer(model, vocab, prompt, SamplingSettings(temperature=temperature), [seed])
    return prompt + "".join(piece for (piece,), _ in write_pieces(writer, vocab, length))
