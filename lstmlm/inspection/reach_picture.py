"""How far back the gradients of a model reach, as a picture: the norm at each state before the character predicted."""

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.gradient_reach import count_characters, measure_reach
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.errors import BadInput
from lstmlm.system.plotting import import_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUM_STEPS, PLACES = 100, 32  # characters back, and how many places of the text the mean is over
PARTS = ("hidden state H", "cell state C")


def draw_reach(model: RNNModel, ids: Sequence[int]) -> dict[str, bytes]:
    """A picture, PNG by tag, of the gradient's reach in a text of ids.

    None without matplotlib, and of a text that is shorter than what is read at one place.
    """
    if len(ids) < count_characters(NUM_STEPS):
        return {}
    with contextlib.suppress(BadInput):  # matplotlib is not installed
        plt = import_pyplot()
        with evaluation_mode(model):
            reach = measure_reach(model, ids, model.b_q.device, NUM_STEPS, PLACES)
        figure = plt.figure(figsize=(7, 4), layout="constrained")
        plot_reach(figure.subplots(), reach)
        png = io.BytesIO()
        figure.savefig(png, format="png")
        plt.close(figure)
        return {"reach/gradient": png.getvalue()}
    return {}


def plot_reach(axes: "Axes", reach: Tensor) -> None:
    """Lines of reach (P, T), P = parts of the state, T = num_steps."""
    for name, part in zip(PARTS, reach, strict=False):
        axes.semilogy(range(1, 1 + len(part)), part, label=name)
    axes.set_xlabel("characters before the one that is predicted")
    axes.set_ylabel("norm of the gradient at the state, relative to the last")
    axes.grid(alpha=0.3)
    axes.legend()
