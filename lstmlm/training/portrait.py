"""What TensorBoard shows of the inside of a model: histograms of weights, gates and cells, and pictures.

They are taken at evaluations while they cost no more than a share of the training time. B = lanes, T = characters of a
lane, L = num_layers, H = num_hiddens.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from lstmlm.layers.contract import Tensors
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.gates import collect_gate_openings
from lstmlm.model.rnn_model import RNNModel
from lstmlm.training.tensorboard import Curves

HISTOGRAMS, PICTURES = 0.2, 4.0  # seconds: what the first ones are expected to take, on a core of 2021


class Portrait:
    """`share` is of the training time. `ids` (B, T) are what the model reads; `draw` gives PNG by tag."""

    def __init__(self, share: float, ids: Tensor, draw: Callable[[RNNModel], dict[str, bytes]]) -> None:
        self.share, self.ids, self.draw = share, ids, draw
        self.spent, self.histograms, self.pictures = 0.0, HISTOGRAMS, PICTURES

    def take(self, curves: Curves, step: int, model: RNNModel, training_seconds: float) -> None:
        """Add histograms, and pictures, as far as they are affordable after so many seconds of training."""
        budget = self.share * training_seconds
        if self.spent + self.histograms <= budget:
            began = time.perf_counter()
            curves.add_histograms(step, collect_histograms(model, self.ids))
            self.histograms = time.perf_counter() - began
            self.spent += self.histograms
        if self.spent + self.pictures <= budget:
            began = time.perf_counter()
            for tag, png in self.draw(model).items():
                curves.add_picture(tag, png, step)
            self.pictures = time.perf_counter() - began
            self.spent += self.pictures


@torch.no_grad()
def collect_histograms(model: RNNModel, ids: Tensor) -> Tensors:
    """The numbers of each histogram by its tag: weights, gate openings and, of an LSTM, cells after ids (B, T)."""
    values = {f"weights/{name}": weight.detach() for name, weight in model.book_weights().items()}
    for k, gates in enumerate(collect_gate_openings(model, ids)):
        values |= {f"openings/layer{k}_{gate}": opening for gate, opening in gates.items()}
    with evaluation_mode(model):
        _, state = model(ids)
    if model.config.cell == "lstm":
        values |= {f"cells/layer{k}": cells for k, cells in enumerate(state[1])}  # C (L, B, H)
    return {tag: tensor.float().cpu() for tag, tensor in values.items()}
