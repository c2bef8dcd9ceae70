"""Samples of text: characters are read and drawn in turns, and the state is kept. No torch.

N = samples drawn together, V = vocab_size, n = characters drawn in one call.
"""

import copy
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lstmlm.generation.native_stepper import State
from lstmlm.generation.sampling import compute_distribution, draw, draw_uniforms
from lstmlm.generation.stepper import Stepper
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.arrays import Floats, Ids
from lstmlm.text.labels import choose_begin
from lstmlm.text.vocab import TextDecoder, Vocab

LONGEST_CALL = 0.02  # seconds: a character waits for the others drawn in the same call


@dataclass(frozen=True)
class Block:
    """n characters of each sample, drawn in one call."""

    ids: Ids  # (n, N)
    logits: Floats  # (n, N, V), before each draw: the model's own, or those of guidance

    @cached_property
    def surprisals(self) -> Floats:
        """-log probability of each character, (n, N), in nats: of the model at temperature 1, as `score` counts it."""
        shifted = self.logits.astype(np.float64) - self.logits.max(-1, keepdims=True)
        own = np.take_along_axis(shifted, self.ids[..., None], -1)[..., 0]
        surprisals: Floats = np.log(np.exp(shifted).sum(-1)) - own
        return surprisals


class Drawn(NamedTuple):
    """One character of each sample: number k of a block."""

    ids: Ids  # (N,)
    block: Block
    k: int

    @property
    def surprisals(self) -> Floats:
        """As in Block, (N,)."""
        surprisals: Floats = self.block.surprisals[self.k]
        return surprisals


class Writer:
    """N samples that grow: `read` appends given characters, `write` draws the characters that follow, in any order.

    `seeds` are those of the samples, `unk` is the id that is never drawn. A copy is independent of the original.
    """

    def __init__(self, stepper: Stepper, settings: SamplingSettings, seeds: list[int], unk: int | None) -> None:
        self.stepper = stepper
        self.settings, self.seeds, self.unk = settings, seeds, unk
        self.state: State | None = None
        self.logits: Floats | None = None  # of the next character, (N, V); None: nothing was read yet
        self.seen: deque[Ids] = deque(maxlen=settings.penalty_window)  # (N,) each
        self.count = 0  # characters drawn of each sample

    def read(self, ids: Ids) -> None:
        """Append ids (n,), n >= 1, to every sample; the first call starts at the zero state: the book's warm-up."""
        logits, state = self.stepper.read(ids, self.state)
        N = len(self.seeds)
        if self.state is None:  # read once, for all samples
            logits = logits.repeat(N, axis=0)
            state = [tuple(part.repeat(N, axis=0) for part in layer_state) for layer_state in state]
        self.logits, self.state = logits, state
        self.seen.extend(np.full(N, id) for id in ids[-self.settings.penalty_window :])

    def mask_unk(self) -> Floats:
        """The logits of the next character, (N, V), float64, with -inf for `unk`."""
        assert self.logits is not None, "nothing was read yet"
        logits = self.logits.astype(np.float64)
        if self.unk is not None:
            logits[:, self.unk] = -np.inf
        return logits

    def write(self, length: float = math.inf) -> Iterator[Drawn]:
        """Draw the `length` characters that follow, and yield each after it was appended.

        Several may be drawn in one call, but the writer is left as if it had drawn only those that were asked for.
        """
        for uniforms in iterate_uniforms(self.seeds, self.count, length, one_by_one=self.stepper.native is None):
            block, logits, states = self._draw_block(uniforms)
            for k, ids in enumerate(block.ids):
                self.logits, self.state = logits[k], states[k]
                self.seen.append(ids)
                self.count += 1
                yield Drawn(ids, block, k)

    def _draw_block(self, uniforms: Floats) -> tuple[Block, Floats, list[State]]:
        """Draw characters with uniform numbers (n, N); and after each of them the logits, (n, N, V), and the state."""
        assert self.logits is not None and self.state is not None, "nothing was read yet"
        if self.stepper.native:
            seen = () if self.settings.repetition_penalty == 1 else self.seen
            ids, logits, states = self.stepper.native.draw(
                self.state, self.logits, np.array(seen, np.int64), uniforms, self.unk, self.settings
            )
            return Block(ids, logits[:-1]), logits[1:], list(states[1:])
        ids = draw(compute_distribution(self.mask_unk(), list(self.seen), self.settings), uniforms[0])
        logits, state = self.stepper.step(ids, self.state)
        return Block(ids[None], self.logits[None]), logits[None], [state]

    def copy(self) -> "Writer":
        twin = copy.copy(self)  # arrays are never changed in place
        twin.seen = self.seen.copy()
        twin.logits, twin.state = copy.deepcopy((self.logits, self.state))  # not views, which keep a whole block
        return twin


def iterate_uniforms(seeds: list[int], start: int, length: float, one_by_one: bool) -> Iterator[Floats]:
    """Yield uniform numbers (n, N) for `length` characters.

    n is 1 if `one_by_one`, else it doubles until the consumer needs half of LONGEST_CALL for n characters.
    """
    size = 1
    for numbers in draw_uniforms(seeds, start):
        while len(numbers):
            if length <= 0:
                return
            n = int(min(size, len(numbers), length))
            began = time.perf_counter()
            yield numbers[:n]
            if not one_by_one and n == size and time.perf_counter() - began < LONGEST_CALL / 2:
                size *= 2
            numbers, length = numbers[n:], length - n


def write_pieces(
    writer: Writer,
    vocab: Vocab,
    length: float,
    stop: tuple[str, ...] = (),
    decoders: list[TextDecoder] | None = None,
) -> Iterator[tuple[list[str | None], Drawn]]:
    """Draw up to `length` characters (or math.inf) and yield, for each, the piece of text that each sample gains.

    A sample ends with a stop string; after that its piece is None. The end comes early when all samples have ended. A
    model of bytes may end inside a character: the last piece then has the bytes of its start, unless `decoders`, one
    for each sample, are given, which hold them for the text that follows.
    """
    N, longest = len(writer.seeds), max(map(len, stop), default=0)
    goes_on, decoders = decoders is not None, decoders or [vocab.make_decoder() for _ in range(N)]
    ends, stopped = [""] * N, [False] * N
    for count, drawn in enumerate(writer.write(length), 1):
        pieces = [None if stopped[k] else decoders[k](id) for k, id in enumerate(drawn.ids.tolist())]
        if count == length and not goes_on:
            pieces = [None if piece is None else piece + decoders[k].finish() for k, piece in enumerate(pieces)]
        if stop:
            ends = [(end + (piece or ""))[-longest:] for end, piece in zip(ends, pieces, strict=True)]
            stopped = [end.endswith(stop) for end in ends]
        yield pieces, drawn
        if all(stopped):
            return


def write_sample(
    writer: Writer, vocab: Vocab, length: float, stop: tuple[str, ...] = (), decoder: TextDecoder | None = None
) -> Iterator[tuple[str, Drawn]]:
    """`write_pieces` for a writer of one sample."""
    for (piece,), drawn in write_pieces(writer, vocab, length, stop, None if decoder is None else [decoder]):
        assert piece is not None  # the only sample's last piece is the last of all
        yield piece, drawn


def group_by_sample(gains: Iterable[tuple[list[str | None], Drawn]], N: int) -> list[Iterable[tuple[str, float]]]:
    """The pieces of each of N samples with their surprisals (nats).

    `gains` as `write_pieces` gives them. The pieces of a single sample come as they are drawn, those of several samples
    when all are drawn.
    """
    if N == 1:
        return [((piece or "", drawn.surprisals.item()) for (piece,), drawn in gains)]
    samples: list[list[tuple[str, float]]] = [[] for _ in range(N)]
    for pieces, drawn in gains:
        for sample, piece, surprisal in zip(samples, pieces, drawn.surprisals.tolist(), strict=True):
            if piece is not None:
                sample.append((piece, surprisal))
    return list(samples)


def choose_first_character(vocab: Vocab) -> str:
    """The character that stands for an empty prompt: what stands before documents, else a line end, or without one the
    most frequent character.
    """
    if begin := choose_begin(vocab):
        return begin
    return "\n" if "\n" in vocab.token_to_idx else vocab.idx_to_token[1]
