"""One HTML file that shows what the units of a model do on a text: the data of an exploration, and scripts of assets/.

P = characters that the page shows, S = states on the page, W = window of the gradients.
"""

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.inspection.connectivity import WINDOW, find_connectivity
from lstmlm.inspection.exploration import Exploration, describe_finding
from lstmlm.inspection.html_file import fill_page
from lstmlm.inspection.units import Unit

ENGINE = ("explore_data.js", "alphabet.js", "shades.js")
INTERFACE = ("text_view.js", "keys.js", "explore_words.js", "explore.js")
MOST_BYTES = 3_000_000  # of states
MOST_CHARS = 20_000
CONNECTED = 1000  # predictions whose gradients the page has
QUANTILE = 0.995  # of the distances from the mean, which is shown in the darkest shade
LEVELS_PER_NAT = 16


def make_explore_page(explored: Exploration, title: str) -> str:
    """The HTML of an exploration. The text that it shows is unseen."""
    data = {"title": title} | collect_data(explored)
    scripts = {"ENGINE": ENGINE, "INTERFACE": INTERFACE}
    return fill_page("explore.html", title, ("base.css", "explore.css"), scripts, {"DATA": data})


def collect_data(explored: Exploration) -> dict[str, Any]:
    """What the scripts need to know."""
    config, start = explored.model.config, explored.shown_from
    units = choose_units(explored)
    shown = explored.ids[start : start + min(MOST_CHARS, max(2000, MOST_BYTES // len(units)))]
    columns, values = quantize(explored, units, len(shown))
    nats = explored.found.surprisal[start : start + len(shown)]
    return {
        "cell": config.cell,
        "num_layers": config.num_layers,
        "num_hiddens": config.num_hiddens,
        "num_chars": len(explored.ids),
        "num_chosen_on": explored.middle,
        "nats_per_char": float(explored.found.surprisal[1:].mean(dtype=np.float64)),
        "start": start,
        "pieces": decode_each(explored, shown),
        "surprisal": to_base64(np.clip(nats * LEVELS_PER_NAT, 0, 255).round().astype(np.uint8)),
        "findings": [describe_finding(one) for one in explored.findings],
        "columns": columns,
        "values": to_base64(values),
        "window": WINDOW,
        "shares": to_base64(np.sqrt(find_connectivity(explored.model, explored.ids, start, CONNECTED)) * 255),
    }


def choose_units(explored: Exploration) -> list[Unit]:
    """The states on the page: every cell, or every hidden state where there is no cell, and those of the findings."""
    part = "C" if explored.model.config.cell == "lstm" else "H"
    found = {(one.unit.layer, one.unit.unit, one.unit.part) for one in explored.findings}
    chosen = [unit for unit in explored.units if unit.part == part or (unit.layer, unit.unit, unit.part) in found]
    return sorted(chosen, key=lambda unit: (unit.layer, unit.part, unit.unit))


def quantize(explored: Exploration, units: list[Unit], count: int) -> tuple[list[dict[str, Any]], NDArray[np.int8]]:
    """A row for each state, and its values (S, P) as (value - mean) / scale * 127."""
    states = explored.read_states(units, count)
    mean = torch.tensor([unit.mean for unit in units])
    away = states - mean
    scale = away.abs().quantile(QUANTILE, 0).clamp_min(1e-6)
    values: NDArray[np.int8] = (away / scale * 127).clamp(-127, 127).round().T.contiguous().to(torch.int8).numpy()
    return [asdict(unit) | {"scale": float(one)} for unit, one in zip(units, scale, strict=True)], values


def decode_each(explored: Exploration, shown: Tensor) -> list[str]:
    """What each character adds to the text; of bytes the last of a character adds it."""
    decode = explored.vocab.make_decoder()
    pieces = [decode(idx) for idx in shown.tolist()]
    pieces[-1] += decode.finish()
    return pieces


def to_base64(values: NDArray[Any]) -> str:
    """The bytes of numbers of one byte; of fractions the nearest whole number."""
    whole = values if values.dtype.itemsize == 1 else values.round().astype(np.uint8)
    return base64.b64encode(whole.tobytes()).decode()
