"""The layer class of each cell on each backend.

BACKENDS is the only place that names the classes: the tests of equality and `lstmlm check` read it.
"""

from lstmlm.layers.contract import RecurrentLayer
from lstmlm.layers.fused import FusedLSTM
from lstmlm.layers.loops import ScratchGRU, ScratchGRUBefore, ScratchLSTM, ScratchRNN
from lstmlm.layers.merged import CellLSTM
from lstmlm.layers.torch_nn import TorchGRU, TorchLSTM, TorchRNN
from lstmlm.system.errors import BadInput

BACKENDS: dict[str, dict[str, type[RecurrentLayer]]] = {
    "lstm": {"scratch": ScratchLSTM, "nn": TorchLSTM, "cell": CellLSTM, "fused": FusedLSTM},
    "gru": {"scratch": ScratchGRU, "nn": TorchGRU},
    "gru_before": {"scratch": ScratchGRUBefore},
    "rnn": {"scratch": ScratchRNN, "nn": TorchRNN},
}


def layer_class(cell: str, backend: str) -> type[RecurrentLayer]:
    """The layer class of a cell on a backend; BadInput lists the pairs that exist."""
    if backend not in BACKENDS.get(cell, {}):
        there = "; ".join(f"{one} on {', '.join(backends)}" for one, backends in BACKENDS.items())
        raise BadInput(f"backend: there is no {cell} on {backend}: there are {there}")
    return BACKENDS[cell][backend]
