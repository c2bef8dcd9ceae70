"""A checkpoint: one safetensors file with dense tensors and one JSON record, which has a SHA-256.

The tensors are the weights by d2l's names (`layers.0.W_xi`, ..., `W_hq`, `b_q`), their moving average, if there is one,
under `ema.`, the optimizer's state under `optimizer.`, and the state of the training loop under `run.`. The record has
the vocabulary, the model's arguments, the settings, the step, metrics, hashes of the text and of its splits, versions,
and the format. One file is the whole run: enough to generate, and to resume. Nothing here unpickles.
"""

import platform
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from lstmlm.checkpoints.arrays import get_prompt, read_arrays, select_weights, take_average
from lstmlm.checkpoints.files import LAST, PREVIOUS
from lstmlm.checkpoints.record import FORMAT, Record
from lstmlm.checkpoints.safetensors_file import KEY, compute_digest, open_header
from lstmlm.layers.contract import Tensors
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.dotted import under
from lstmlm.system.durable import write_durably
from lstmlm.system.json_text import encode_json
from lstmlm.system.version import __version__
from lstmlm.text.vocab import Vocab, restore_vocab

CONVERTED = "converted"  # in place of a text's name: the checkpoint comes from a torch file (from_torch.py)


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file, validated."""

    tensors: Tensors
    record: Record

    @property
    def weights(self) -> Tensors:
        """The model's weights, by d2l's names."""
        return select_weights(self.tensors)

    @property
    def optimizer(self) -> Tensors:
        """The optimizer's state."""
        return under("optimizer.", self.tensors)

    @property
    def prompt(self) -> str:
        """What the samples of the run begin with; empty in a file that does not have it."""
        return get_prompt(self.record)

    def averaged(self) -> "Checkpoint":
        """The same checkpoint with the moving average (train.ema) as the weights; BadInput if it has none."""
        return Checkpoint(take_average(self.tensors), self.record)

    def build(self, backend: str | None = None, device: str = "cpu") -> tuple[RNNModel, Vocab]:
        """The model, in evaluation mode, and its vocabulary. `backend` None: the one that trained the model."""
        vocab = restore_vocab(self.record["vocab"])
        model = RNNModel(ModelConfig.from_record(self.record["model"]), backend or self.record["config"]["backend"])
        model.load_book_weights(self.weights)
        return model.to(device).eval(), vocab


def save_checkpoint(path: Path, tensors: Tensors, record: Record, keep: Path | None = None) -> None:
    """Write a checkpoint durably; `keep` is the new name of an existing file at `path`.

    Raises EnvironmentFault if the file cannot be written; an existing file is then unchanged.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = {**record, "format": FORMAT, "versions": collect_versions(), "sha256": "0" * 64}
    data = safetensors.torch.save(tensors, {KEY: encode_json(record)})
    # The digest covers the layout of the finished file, so it replaces a placeholder of the same length. The quotes are
    # escaped, because the record is a string in the JSON of the header
    blank, filled = (
        rb"\"sha256\": \"%b\"" % value for value in (b"0" * 64, compute_digest(data, *open_header(data)).encode())
    )
    assert data.count(blank) == 1
    write_durably(path, data.replace(blank, filled), keep)


def save_last_checkpoint(directory: Path, tensors: Tensors, record: Record) -> None:
    """Write `last`; the former `last` becomes `previous`. At every moment at least one of the two is whole."""
    save_checkpoint(directory / LAST, tensors, record, keep=directory / PREVIOUS)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and validate a checkpoint. Raises BadInput, with the reason in one line, if the file is refused."""
    arrays, record = read_arrays(path)
    return Checkpoint({name: torch.from_numpy(array) for name, array in arrays.items()}, record)


def collect_versions() -> dict[str, str]:
    """The versions that the bits of a run may depend on, besides its settings."""
    return {
        "lstmlm": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
