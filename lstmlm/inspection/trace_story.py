"""A trace with what makes it readable: what each character cost, what was likeliest next, and what the units track.

T = characters of the text, V = vocab_size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.inspection.gate_trace import Trace
from lstmlm.inspection.units import SHORTEST_TEXT, find_units
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.vocab import Vocab

UNITS = 4
LIKELIEST = 3
LEARNED_FROM = 20_000  # characters from which it is found what the units track

# What each row of a unit shows: column of the trace, its name, what it means
ROWS = (
    ("F", "forget gate", "how much is kept"),
    ("I", "input gate", "how much comes in"),
    ("O", "output gate", "how much is shown"),
    ("C", "cell", "the long memory"),
)


@dataclass(frozen=True)
class ShownUnit:
    """A unit of the traced layer, and in words why it is shown."""

    unit: int
    why: str


@dataclass(frozen=True)
class Story:
    """A trace, and for each of its characters the cost in nats (None of the first) and the likeliest next ones."""

    trace: Trace
    nats: list[float | None]
    likeliest: list[list[tuple[str, float]]]  # T lists of LIKELIEST (symbol, probability)
    units: list[ShownUnit]


@torch.no_grad()
def tell_story(model: RNNModel, vocab: Vocab, ids: Tensor, trace: Trace, known: Tensor | None) -> Story:
    """The story of the trace of ids (T,). `known` (n,) is a text from which to find what units track, or None."""
    with evaluation_mode(model):
        logits, _ = model(ids[None].to(model.W_hq.device))
    nats: list[float | None] = [None, *functional.cross_entropy(logits[:-1], ids[1:], reduction="none").tolist()]
    probs, best = logits.softmax(1).topk(min(LIKELIEST, logits.shape[1]))
    likeliest = [
        [(vocab.decode([idx]), p) for idx, p in zip(row, chances, strict=True)]
        for row, chances in zip(best.tolist(), probs.tolist(), strict=True)
    ]
    return Story(trace, nats, likeliest, choose_units(model, vocab, trace, known))


def choose_units(model: RNNModel, vocab: Vocab, trace: Trace, known: Tensor | None) -> list[ShownUnit]:
    """UNITS units of the layer whose cells track something, each something else; without a text the most active."""
    if known is None or len(known) < SHORTEST_TEXT:
        return [ShownUnit(unit, "among the most active") for unit in trace.find_most_active(UNITS)]
    chosen: dict[str, ShownUnit] = {}
    for one in find_units(model, vocab, known[:LEARNED_FROM]):
        if one.part == "C" and one.layer == trace.layer and one.feature not in chosen:
            chosen[one.feature] = ShownUnit(one.unit, f"follows {one.feature} (r = {one.r:.2f})")
    return list(chosen.values())[:UNITS]


def show_symbol(symbol: str) -> str:
    """A character as it is drawn: what cannot be seen by a sign or its code."""
    signs = {"\n": "\u21b5", " ": "\u2423", "\t": "\u21e5"}
    return signs.get(symbol) or (symbol if symbol.isprintable() else ascii(symbol)[1:-1])
