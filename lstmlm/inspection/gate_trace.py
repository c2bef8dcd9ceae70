"""The gates of an LSTM step by step: in a worked example, or while a trained model reads a text.

D = width of a layer's inputs, H = num_hiddens, T = characters of the text.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from lstmlm.layers.contract import RecurrentLayer, Tensors, to_dense
from lstmlm.layers.registry import layer_class
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.gates import compute_gates
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.columns import count_columns, measure_width
from lstmlm.system.dotted import under
from lstmlm.system.errors import BadInput
from lstmlm.system.plotting import find_fonts, import_pyplot, open_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("F", "I", "C~", "O", "C", "H")
UNITS, MOST_UNITS = 24, 3  # of the most active units: as many are drawn, and at most printed


@torch.no_grad()
def follow_gates(layer: RecurrentLayer, weights: Tensors, inputs: Tensor) -> dict[str, Tensor]:
    """The columns, each (T, H), of one layer that reads inputs (T, D) from the zero state, one step at a time.

    H and C are the layer's own, so they are of its backend; the gates and the candidate are computed from `weights`,
    under the book's names, and the state before each step.
    """
    num_hiddens = len(weights["b_i"])
    state = tuple(part.to(inputs.dtype) for part in layer.init_state(1, num_hiddens, inputs.device))
    rows = []
    for X in inputs[:, None]:  # (1, D)
        H = state[0]
        row = compute_gates(weights, X, H)
        row["C~"] = torch.tanh(X @ weights["W_xc"] + H @ weights["W_hc"] + weights["b_c"])
        _, state = layer(X[None], state)
        row["H"], row["C"] = state
        rows.append(row)
    return {column: torch.cat([row[column] for row in rows]) for column in COLUMNS}


# The worked example

# One hidden unit, three features; each row is W . [h, x] as the write-up has it, then the bias
EXAMPLE_WEIGHTS = {
    "f": ([0.2, 0.3, -0.1, 0.4], -0.1),
    "i": ([0.5, 0.2, 0.3, -0.2], 0.3),
    "o": ([0.1, -0.2, 0.4, 0.3], -0.2),
    "c": ([0.3, 0.1, -0.2, 0.5], 0.1),
}
EXAMPLE_WORDS = {"Alice": [1, 0, 0], "is": [0, 1, 0], "happy": [0, 0, 0], "She": [1, 0, 1], "smiles": [0, 1, 0]}
DEPARTURE = (
    'The published version of this example departs at "happy". It skips it, takes C = 0.012 and H = 0.005 there,\n'
    'which the equations do not give, and so carries C = 0.356, H = 0.164 at "She". A word with no features still has\n'
    "the biases and what is carried: here it is a step like any other."
)


def follow_example(backend: str = "scratch") -> dict[str, Tensor]:
    """The columns, each (5, 1), of the worked example, in float64."""
    weights: Tensors = {}
    for gate, (row, bias) in EXAMPLE_WEIGHTS.items():
        column = torch.tensor(row, dtype=torch.float64)[:, None]  # (4, 1): h, then the three features
        weights |= {"W_h" + gate: column[:1], "W_x" + gate: column[1:]}
        weights["b_" + gate] = torch.tensor([bias], dtype=torch.float64)
    layer = layer_class("lstm", backend)(3, 1).double()
    with torch.no_grad():
        for name, tensor in layer.from_book(weights).items():
            layer.get_parameter(name).copy_(tensor)
    return follow_gates(layer, weights, torch.tensor(list(EXAMPLE_WORDS.values()), dtype=torch.float64))


def format_example(columns: dict[str, Tensor]) -> str:
    """Every product, gate and sum of the worked example with its numbers, then the table."""
    lines, h, c = [], 0.0, 0.0
    for t, (word, x) in enumerate(EXAMPLE_WORDS.items()):
        now = {column: values[t].item() for column, values in columns.items()}
        lines += ["", f"{word}: [h, x] = [{h:.6g}, {', '.join(map(str, x))}], c = {c:.6g}"]
        for column, gate, function in (
            ("F", "f", "sigmoid"),
            ("I", "i", "sigmoid"),
            ("C~", "c", "tanh"),
            ("O", "o", "sigmoid"),
        ):
            row, bias = EXAMPLE_WEIGHTS[gate]
            products = " + ".join(f"{weight:g}*{value:.6g}" for weight, value in zip(row, [h, *x], strict=True))
            total = math.fsum(weight * value for weight, value in zip(row, [h, *x], strict=True)) + bias
            lines.append(
                f"  {column:<2} = {function}({products} + {bias:g}) = {function}({total:.6f}) = {now[column]:.6f}"
            )
        lines.append(f"  C  = F*c + I*C~ = {now['F']:.6f}*{c:.6f} + {now['I']:.6f}*{now['C~']:.6f} = {now['C']:.6f}")
        lines.append(f"  H  = O*tanh(C) = {now['O']:.6f}*tanh({now['C']:.6f}) = {now['H']:.6f}")
        h, c = now["H"], now["C"]
    return "\n".join([*lines[1:], "", format_example_table(columns), "", DEPARTURE])


def format_example_table(columns: dict[str, Tensor]) -> str:
    """The columns of the worked example as a table in Markdown."""
    lines = ["| word | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for t, word in enumerate(EXAMPLE_WORDS):
        lines.append(f"| {word} | " + " | ".join(f"{columns[column][t].item():.6f}" for column in COLUMNS) + " |")
    return "\n".join(lines)


# A trained model


@dataclass(frozen=True)
class Trace:
    """The columns, each (T, H), of layer `layer` of a model while it read a text: F, I, C~, O, C, H.

    Printed, it is a table of the gates.
    """

    symbols: Sequence[str]  # T of them: the characters, or bytes, that the model read
    layer: int
    columns: dict[str, Tensor]

    def find_most_active(self, count: int) -> list[int]:
        """The `count` units whose cell state has the largest range over the text."""
        swing = self.columns["C"].amax(0) - self.columns["C"].amin(0)
        return [int(unit) for unit in swing.argsort(descending=True)[:count]]

    def plot(self, count: int = 24) -> "list[Axes]":
        """Heat maps of the gates and the cell state of the `count` most active units; the axes of each.

        In a notebook the figure is shown. Needs matplotlib.
        """
        return plot_trace(self, open_figure("plot", figsize=measure_figure(self)), count)

    def __repr__(self) -> str:
        T, H = self.columns["C"].shape
        return f"Trace(layer {self.layer}: {', '.join(self.columns)} of {H} units at {T} characters; print or plot it)"

    def __str__(self) -> str:
        return format_trace(self)


@torch.no_grad()
def trace_gates(model: RNNModel, ids: Tensor, symbols: Sequence[str], layer: int, what: str = "--layer") -> Trace:
    """The gates of one layer of an LSTM while the model reads ids (T,), those of `symbols`.

    BadInput for another cell, and for a layer that the model does not have; `what` names the option that gave it.
    """
    if model.config.cell != "lstm":
        raise BadInput(f"trace: follows the gates of an LSTM, and this model's cell is {model.config.cell}")
    if not 0 <= layer < model.config.num_layers:
        raise BadInput(f"{what}: the model has layers 0 to {model.config.num_layers - 1}, got {layer}")
    with evaluation_mode(model):
        outputs, _ = model.hidden_states(ids[None])
        X = outputs[layer - 1] if layer else model.inputs(ids[None])
    X = to_dense(X, model.config.vocab_size, model.W_hq.dtype)[:, 0]  # (T, D)
    own, weights = cast(RecurrentLayer, model.layers[layer]), under(f"layers.{layer}.", model.book_weights())
    return Trace(symbols, layer, follow_gates(own, weights, X))


def format_trace(trace: Trace) -> str:
    """A table for people: for each character the means of the gates, and F, I, O, C of the most active units.

    There are as many units as fit the terminal, at most MOST_UNITS.
    """
    columns = trace.columns
    count = max(1, min(MOST_UNITS, (measure_width() - 21) // 24))  # the columns of the means, and of a unit
    units = trace.find_most_active(count)
    title = (
        f"layer {trace.layer}: the means of {columns['C'].shape[1]} units, and the {len(units)} whose cell swings most"
    )
    over = f"{'':6}{'mean of all':<15}" + "".join(f" | {f'unit {unit}':<21}" for unit in units)
    head = f"{'':6}" + "".join(f"{gate:>5}" for gate in "FIO")
    head += f" | {'F':>4} {'I':>4} {'O':>4} {'C':>6}" * len(units)
    lines = [title, over.rstrip(), head]
    for t, char in enumerate(trace.symbols):
        shown = repr(char)
        line = " " * (6 - count_columns(shown)) + shown
        line += "".join(f"{columns[gate][t].mean().item():5.2f}" for gate in "FIO")
        for unit in units:
            F, I, O, C = (columns[column][t, unit].item() for column in "FIOC")
            line += f" | {F:4.2f} {I:4.2f} {O:4.2f} {C:6.2f}"
        lines.append(line)
    return "\n".join(lines)


def draw_layers(model: RNNModel, ids: Tensor, symbols: Sequence[str]) -> dict[str, bytes]:
    """A picture of each layer of an LSTM while it reads ids (T,), PNG by tag; none without matplotlib."""
    pictures: dict[str, bytes] = {}
    with contextlib.suppress(BadInput), warnings.catch_warnings():  # another cell, or matplotlib is not installed
        warnings.simplefilter("ignore")  # of characters that no font has
        plt = import_pyplot()
        for k in range(model.config.num_layers):
            png, trace = io.BytesIO(), trace_gates(model, ids, symbols, k)
            figure = plt.figure(figsize=measure_figure(trace), layout="constrained")
            plot_trace(trace, figure, UNITS)
            figure.savefig(png, format="png")
            plt.close(figure)
            pictures[f"gates/layer{k}"] = png.getvalue()
    return pictures


def measure_figure(trace: Trace) -> tuple[float, float]:
    """The width and height in inches that a figure of a trace needs."""
    return max(6, 0.16 * len(trace.symbols) + 2), 13


def plot_trace(trace: Trace, figure: "Figure", count: int) -> "list[Axes]":
    """Heat maps of F, I, O and C: a column for each character, a row for each of the `count` most active units."""
    units, length = trace.find_most_active(count), len(trace.symbols)
    panels = list(figure.subplots(4, 1))
    shown = [char if char.isprintable() else ascii(char)[1:-1] for char in trace.symbols]
    fonts = find_fonts("".join(shown), "DejaVu Sans Mono")
    titles = {"F": "forget gate", "I": "input gate", "O": "output gate", "C": "cell state"}
    for axes, (column, title) in zip(panels, titles.items(), strict=True):
        values = trace.columns[column][:, units].T.cpu().numpy()
        reach = float(abs(values).max()) if column == "C" else None
        scale = (
            {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if reach else {"cmap": "viridis", "vmin": 0, "vmax": 1}
        )
        image = axes.imshow(values, aspect="auto", interpolation="nearest", **scale)
        figure.colorbar(image, ax=axes, pad=0.01)
        axes.set_xticks(range(length), shown, fontsize=8, family=fonts, parse_math=False)
        axes.set_yticks(range(len(units)), units, fontsize=6)
        axes.set_ylabel("unit")
        axes.set_title(f"{title}, layer {trace.layer}", loc="left", fontsize=10)
    return panels
