"""What the units of a model track: the correlation of every cell and hidden state with features of a text.

n = characters of the text, K = features, S = states (states.py). Units are matched to features on the first half of the
text; the correlation that is reported is that of the second half, which had no part in the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.inspection.features import Feature, find_features
from lstmlm.inspection.states import find_middle, iterate_states, list_parts, make_fast
from lstmlm.model.gates import collect_gate_openings
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import Vocab

SHORTEST_TEXT = 500  # characters, of which one can say what a unit tracks
MODEL_FEATURES = ("surprisal of the character", "uncertainty about the next character")
GATE_SAMPLE = 20_000  # characters from which a unit's memory is measured
LANES = 16  # in which the gates of the sample are computed


@dataclass(frozen=True)
class Unit:
    """One state of one unit, and the feature that it follows most closely.

    Attributes:
        layer: counted from 0.
        unit: counted from 0.
        part: C, the cell of an LSTM, or H, the hidden state.
        feature: the name of the feature with the largest |r| on the first half of the text.
        r: Pearson's correlation with it on the second half.
        r_chosen: the same on the first half, where the feature was chosen.
        mean, std: of the state over the whole text.
        memory: 1 / (1 - mean F) characters: for so long the unit's cell is kept on average, if F is the share that
            is kept at each character. None without a forget gate.
    """

    layer: int
    unit: int
    part: str
    feature: str
    r: float
    r_chosen: float
    mean: float
    std: float
    memory: float | None


@dataclass(frozen=True)
class Correlations:
    """The correlations r (2, K, S) on the two halves of a text, and what they are of."""

    features: list[Feature]
    parts: list[tuple[int, str]]
    num_hiddens: int
    r: NDArray[np.float64]
    mean: NDArray[np.float64]  # (S,)
    std: NDArray[np.float64]  # (S,)
    surprisal: NDArray[np.float32]  # (n,)

    def name_state(self, column: int) -> tuple[int, int, str]:
        """(layer, unit, part) of a column."""
        layer, part = self.parts[column // self.num_hiddens]
        return layer, column % self.num_hiddens, part

    def find_best(self, feature: int, count: int = 1) -> list[int]:
        """The columns with the largest |r| with a feature on the first half."""
        return [int(column) for column in np.argsort(-np.abs(self.r[0, feature]), kind="stable")[:count]]


def correlate(model: RNNModel, vocab: Vocab, ids: Tensor) -> Correlations:
    """The correlations of every state with every feature of the text of ids (n,)."""
    if len(ids) < SHORTEST_TEXT:
        raise BadInput(f"text: has {len(ids)} characters: what units track needs at least {SHORTEST_TEXT}")
    model, count = make_fast(model), len(ids)
    middle, features = find_middle(count), find_features(vocab, ids.numpy())
    known = np.stack([standardize(feature.values) for feature in features])  # (K - 2, n)
    of_model = torch.zeros(len(MODEL_FEATURES), count)
    sums, shifts = [Sums(), Sums()], None
    for block in iterate_states(model, ids):
        places = block.places.cpu()
        own = torch.stack([block.surprisal, block.entropy])  # (2, rows)
        of_model[:, places] = own.cpu().float()
        if shifts is None:  # means, about, so that sums of squares in float32 stay precise
            shifts = (own.mean(1, keepdim=True), block.states.mean(0))
        rows = torch.cat([torch.from_numpy(known[:, places.numpy()]).to(own), own - shifts[0]])
        if len(places):
            sums[int(places[0]) >= middle].add(rows, block.states.sub_(shifts[1]))
    features += [Feature(name, "model", row.numpy()) for name, row in zip(MODEL_FEATURES, of_model, strict=True)]
    r = np.stack([half.correlate() for half in sums])
    assert shifts is not None
    mean, std = (sums[0] + sums[1]).describe_states()
    mean += shifts[1].double().cpu().numpy()
    return Correlations(features, list_parts(model), model.config.num_hiddens, r, mean, std, of_model[0].numpy())


def standardize(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values (n,) with mean 0 and variance 1, so that sums of products in float32 stay precise."""
    standard: NDArray[np.float32] = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    return standard.astype(np.float32)


class Sums:
    """Sums over the characters of a text of features, states, their squares and products, in float64."""

    def __init__(self, parts: Sequence[Tensor] = ()) -> None:
        self.parts = list(parts)

    def add(self, features: Tensor, states: Tensor) -> None:
        """Add features (K, rows) and states (rows, S), which are overwritten."""
        X, Y = torch.cat([features, torch.ones_like(features[:1])]), states
        XY = X @ Y  # the last row is the sum of Y
        squares = (X[-1:] @ Y.square_())[0]
        sums = (torch.tensor(len(Y)), X[:-1].sum(1), (X[:-1] ** 2).sum(1), XY[-1], squares, XY[:-1])
        self.parts = (self + Sums([part.double().cpu() for part in sums])).parts

    def __add__(self, other: "Sums") -> "Sums":
        if not self.parts:
            return other
        return Sums([a + b for a, b in zip(self.parts, other.parts, strict=True)])

    def correlate(self) -> NDArray[np.float64]:
        """Pearson's r (K, S); 0 where a feature or a state does not change."""
        count, X, XX, Y, YY, XY = (part.numpy() for part in self.parts)
        covariance = XY / count - np.outer(X, Y) / count**2
        spread = np.outer(find_std(XX, X, count), find_std(YY, Y, count))
        r = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 1e-7)
        clipped: NDArray[np.float64] = np.clip(r, -1, 1)
        return clipped

    def describe_states(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (S,) of the states."""
        count, _, _, Y, YY, _ = (part.numpy() for part in self.parts)
        return Y / count, find_std(YY, Y, count)


def find_std(squares: NDArray[np.float64], total: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    spread: NDArray[np.float64] = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    return spread


def measure_memory(model: RNNModel, ids: Tensor) -> NDArray[np.float64] | None:
    """(L, H) for how many characters a cell is kept, 1 / (1 - mean F), on the first GATE_SAMPLE characters of the text.

    None for a cell without a forget gate.
    """
    if model.config.cell != "lstm":
        return None
    lanes = ids[: len(ids[:GATE_SAMPLE]) // LANES * LANES].view(LANES, -1).to(model.W_hq.device)
    gates = collect_gate_openings(make_fast(model), lanes)
    kept = torch.stack([gate["F"].double().mean((0, 1)) for gate in gates])
    memory: NDArray[np.float64] = (1 / (1 - kept).clamp_min(1e-9)).cpu().numpy()
    return memory


def list_units(found: Correlations, memory: NDArray[np.float64] | None) -> list[Unit]:
    """A Unit for each state, those that follow their feature most closely first (on the first half)."""
    best = np.abs(found.r[0]).argmax(0)  # (S,)
    order = np.argsort(-np.abs(found.r[0]).max(0), kind="stable")
    return [make_unit(found, memory, int(column), int(best[column])) for column in order]


def make_unit(found: Correlations, memory: NDArray[np.float64] | None, column: int, feature: int) -> Unit:
    """A state beside a feature."""
    layer, unit, part = found.name_state(column)
    chosen, unseen = found.r[:, feature, column].tolist()
    mean, std = float(found.mean[column]), float(found.std[column])
    kept = None if memory is None else float(memory[layer, unit])
    return Unit(layer, unit, part, found.features[feature].name, unseen, chosen, mean, std, kept)


def find_units(model: RNNModel, vocab: Vocab, ids: Tensor) -> list[Unit]:
    """What every state of a model tracks in the text of ids (n,); BadInput if the text is short."""
    return list_units(correlate(model, vocab, ids), measure_memory(model, ids))
