"""What a model's units do on a text: found on one half of it, confirmed on the other, and by ablation.

n = characters of the text, A = characters that the ablated model is scored on, S = states (states.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmlm.inspection.ablation import Ablation, ablate_units
from lstmlm.inspection.features import LOGARITHM, name_character
from lstmlm.inspection.states import find_middle, iterate_states, make_fast
from lstmlm.inspection.units import Correlations, Unit, correlate, list_units, make_unit, measure_memory
from lstmlm.model.rnn_model import RNNModel
from lstmlm.text.vocab import Vocab

LARGEST_TEXT = 1_000_000  # characters
WEAKEST = 0.25  # |r| of a unit that is said to track a feature
MOST_FINDINGS = 20
SAMPLE = 20  # evenly spaced units, whose median tells what an ordinary unit is worth
ABLATION_CHARS = 8192
LONGEST_LINE = 200
CONTEXT = 500  # characters


@dataclass(frozen=True)
class Finding:
    """A feature, the state that follows it most closely, and what the model loses without that unit.

    Attributes:
        unit: the state beside the feature. It was chosen among all on the first half of the text.
        kind: of the feature.
        rise: nats that a character of unseen text costs more with the unit's hidden state held at its mean.
        rise_there: the same where the feature is on (of a number: where it is in its highest third).
        median, median_there: the medians of the same over SAMPLE evenly spaced units.
        dearest: (character, count, mean rise) of the characters that become dearest.
    """

    unit: Unit
    kind: str
    rise: float
    rise_there: float
    median: float
    median_there: float
    dearest: list[tuple[str, int, float]]


@dataclass(frozen=True)
class Exploration:
    """All that was found of a model on the text of ids (n,)."""

    model: RNNModel  # as make_fast gives it
    vocab: Vocab
    ids: Tensor
    found: Correlations
    units: list[Unit]
    findings: list[Finding]
    ablation_chars: int

    @property
    def middle(self) -> int:
        """The number of characters on which units were chosen; the rest is unseen."""
        return find_middle(len(self.ids))

    @property
    def shown_from(self) -> int:
        """Where pages and pictures begin: at the first line of the unseen half, if one begins soon."""
        soon = self.ids[self.middle : self.middle + LONGEST_LINE]
        ends = torch.nonzero(soon == int(self.vocab.encode("\n")[0]))
        known = self.vocab.unk is None or "\n" in self.vocab.token_to_idx
        return self.middle + (int(ends[0]) + 1 if known and len(ends) else 0)

    def read_states(self, units: list[Unit], count: int) -> Tensor:
        """(count, units) the states of units from `shown_from` on; the model has read CONTEXT characters before."""
        H, begin = self.found.num_hiddens, max(0, self.shown_from - CONTEXT)
        columns = [self.found.parts.index((unit.layer, unit.part)) * H + unit.unit for unit in units]
        read = self.ids[begin : self.shown_from + count]
        states = torch.zeros(len(read), len(columns))
        for block in iterate_states(self.model, read):
            states[block.places.cpu()] = block.states[:, columns].cpu().float()
        return states[self.shown_from - begin :]


def explore(model: RNNModel, vocab: Vocab, ids: Tensor) -> Exploration:
    """Explore the units of a model on the text of ids (n,), of which LARGEST_TEXT characters are read.

    BadInput if the text is short.
    """
    ids, model = ids[:LARGEST_TEXT].to(torch.int64), make_fast(model)
    found = correlate(model, vocab, ids)
    memory = measure_memory(model, ids)
    chosen = choose_states(found)
    start = find_middle(len(ids))
    unseen = ids[start : start + ABLATION_CHARS + 1]
    ordinary = list_evenly(model)
    wanted = dict.fromkeys([found.name_state(column)[:2] for _, column in chosen] + ordinary)
    ablations = ablate_units(model, unseen, {unit: mean_hidden(found, *unit) for unit in wanted})
    by_unit = {(one.layer, one.unit): one for one in ablations}
    sample = [by_unit[unit] for unit in ordinary]
    findings = []
    for feature, column in chosen:
        unit = make_unit(found, memory, column, feature)
        ablation, there = by_unit[unit.layer, unit.unit], found.features[feature].find_places()
        findings.append(
            Finding(
                unit,
                found.features[feature].kind,
                ablation.mean,
                ablation.mean_at(there[start : start + len(ablation.rise)]),
                median([one.mean for one in sample]),
                median([one.mean_at(there[start : start + len(one.rise)]) for one in sample]),
                name_dearest(ablation, unseen, vocab),
            )
        )
    return Exploration(model, vocab, ids, found, list_units(found, memory), findings, len(unseen) - 1)


def choose_states(found: Correlations) -> list[tuple[int, int]]:
    """(feature, column) of MOST_FINDINGS pairs: what the reader's place is tracked by first, then the closest others.

    Chosen on the first half of the text. Of a position and its logarithm the closer one is listed; which character it
    is, and what the model expects, are listed for states that have not been listed before.
    """
    best = [
        (float(abs(found.r[0, k, column])), k, column) for k in range(len(found.r[0])) for column in found.find_best(k)
    ]
    best = [one for one in sorted(best, key=lambda one: -one[0]) if one[0] >= WEAKEST]
    pairs: list[tuple[int, int]] = []
    names: set[str] = set()
    for _, feature, column in best:
        name = found.features[feature].name.removesuffix(LOGARITHM)
        if found.features[feature].kind == "state" and name not in names:
            names.add(name)
            pairs.append((feature, column))
    for _, feature, column in best:
        if found.features[feature].kind != "state" and column not in {listed for _, listed in pairs}:
            pairs.append((feature, column))
    return pairs[:MOST_FINDINGS]


def list_evenly(model: RNNModel) -> list[tuple[int, int]]:
    """SAMPLE units (layer, unit), evenly spaced over all layers; all if there are no more."""
    H = model.config.num_hiddens
    count = H * model.config.num_layers
    places = np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(int))
    return [(int(place) // H, int(place) % H) for place in places]


def mean_hidden(found: Correlations, layer: int, unit: int) -> float:
    """The mean of H[unit] of a layer over the text."""
    return float(found.mean[found.parts.index((layer, "H")) * found.num_hiddens + unit])


def median(values: list[float]) -> float:
    return float(np.median(values))


def name_dearest(ablation: Ablation, unseen: Tensor, vocab: Vocab) -> list[tuple[str, int, float]]:
    """The characters that become dearest, in words."""
    return [(name_character(vocab, idx), count, rise) for idx, count, rise in ablation.find_dearest(unseen[1:].numpy())]


def describe_exploration(explored: Exploration) -> dict[str, Any]:
    """The numbers as JSON has them."""
    found = explored.found
    return {
        "num_chars": len(explored.ids),
        "num_chosen_on": explored.middle,
        "num_ablated_on": explored.ablation_chars,
        "nats_per_char": float(found.surprisal[1:].mean(dtype=np.float64)),
        "findings": [describe_finding(one) for one in explored.findings],
        "features": [
            {
                "feature": feature.name,
                "kind": feature.kind,
                "best": [describe_pair(found, k, c) for c in found.find_best(k, 3)],
            }
            for k, feature in enumerate(found.features)
        ],
        "units": [dict(vars(unit)) for unit in explored.units],
    }


def describe_finding(one: Finding) -> dict[str, Any]:
    row = vars(one.unit) | {name: value for name, value in vars(one).items() if name != "unit"}
    return row | {"dearest": [{"character": char, "count": n, "rise": rise} for char, n, rise in one.dearest]}


def describe_pair(found: Correlations, feature: int, column: int) -> dict[str, Any]:
    layer, unit, part = found.name_state(column)
    chosen, unseen = found.r[:, feature, column].tolist()
    return {"layer": layer, "unit": unit, "part": part, "r": unseen, "r_chosen": chosen}
