"""A unit held at one value: how much more a text then costs, and where.

n = characters of the text, L = num_layers, H = num_hiddens, A = characters that are scored.

The hidden state H[unit] of a layer is all that the rest of the model sees of a unit, its cell too. Held at a value, it
adds the same to every sum that reads it: so the value goes into the biases, and the rows of the matrices become zero.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.inspection.states import iterate_states
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.errors import BadInput

LEAST_COUNT = 10  # places of a character before its mean rise is reported
NUM_CHARACTERS = 3

Nats = NDArray[np.float64]


def hold_unit(model: RNNModel, layer: int, unit: int, value: float) -> RNNModel:
    """The same model with H[unit] of a layer held at a value, for everything that reads it.

    In a GRU that resets before the product (model.gru_reset=before) the unit's reset gate is held open with it.
    BadInput if the model has no such unit.
    """
    check_number("layer", layer, model.config.num_layers)
    check_number("unit", unit, model.config.num_hiddens)
    book = model.book_weights()
    for name, bias in list_readers(model, layer):
        book[bias] = book[bias] + value * book[name][unit]
        book[name][unit] = 0
    twin = copy.deepcopy(model)
    twin.load_book_weights(book)
    return twin


def check_number(what: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise BadInput(f"{what}: the model has 0 to {count - 1}, got {number}")


def list_readers(model: RNNModel, layer: int) -> list[tuple[str, str]]:
    """The matrices that read the hidden state of a layer, each with the bias of its product."""
    names = set(model.book_weights())
    readers = []
    for k, kind in ((layer, "W_h"), (layer + 1, "W_x")):
        prefix = f"layers.{k}."
        for name in sorted(name for name in names if name.startswith(prefix + kind)):
            gate = name.removeprefix(prefix + kind)
            own = f"{prefix}b_hn" if kind == "W_h" and gate == "h" and f"{prefix}b_hn" in names else f"{prefix}b_{gate}"
            readers.append((name, own))
    return readers + ([("W_hq", "b_q")] if layer == model.config.num_layers - 1 else [])


@dataclass(frozen=True)
class Ablation:
    """What a text costs more with one unit held at its mean.

    Attributes:
        layer, unit: counted from 0.
        value: the mean at which H[unit] is held.
        rise: (A,) nats that each character costs more.
    """

    layer: int
    unit: int
    value: float
    rise: Nats

    @property
    def mean(self) -> float:
        return float(self.rise.mean())

    def mean_at(self, places: NDArray[np.bool_]) -> float:
        """The mean over the characters at `places` (A,)."""
        return float(self.rise[places].mean()) if places.any() else 0.0

    def find_dearest(self, ids: NDArray[np.int64]) -> list[tuple[int, int, float]]:
        """(id, count, mean rise) of the characters, of `ids` (A,), whose mean rise is the largest."""
        counts = np.bincount(ids)
        means = np.bincount(ids, self.rise) / np.maximum(counts, 1)
        means[counts < LEAST_COUNT] = -np.inf
        order = [int(idx) for idx in np.argsort(-means, kind="stable")[:NUM_CHARACTERS]]
        return [(idx, int(counts[idx]), float(means[idx])) for idx in order if np.isfinite(means[idx])]


def collect_nats(model: RNNModel, ids: Tensor) -> Nats:
    """(n - 1,) what every character of ids (n,) but the first costs, in the lanes of states.py."""
    nats = torch.zeros(len(ids), dtype=torch.float64)
    for block in iterate_states(model, ids):
        nats[block.places.cpu()] = block.surprisal.cpu().double()
    values: Nats = nats[1:].numpy()
    return values


def ablate_units(model: RNNModel, ids: Tensor, means: dict[tuple[int, int], float]) -> list[Ablation]:
    """Hold each unit (layer, unit) at its mean, one after another, on the text of ids (A + 1,)."""
    whole = collect_nats(model, ids)
    return [
        Ablation(layer, unit, mean, collect_nats(hold_unit(model, layer, unit, mean), ids) - whole)
        for (layer, unit), mean in means.items()
    ]
