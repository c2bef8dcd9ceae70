"""What is in a checkpoint: one safetensors file, dense tensors and one JSON record with a SHA-256.

The tensors are the weights under the book's names (`layers.0.W_xi`, ..., `W_hq`, `b_q`) and, under `optimizer.`,
the optimizer's state. The record holds the rest: vocabulary, model arguments, configuration, step, metrics, the
text's and its splits' hashes, versions, format. One file is enough to generate. Nothing here unpickles.
"""

import hashlib
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

import lstmlm
from lstmlm.backends import Tensors, under
from lstmlm.commit import write_durably
from lstmlm.corpus import read_file
from lstmlm.errors import BadInput
from lstmlm.model import RNNModel
from lstmlm.vocab import Vocab

FORMAT = 1
KEY = "lstmlm"  # of the one metadata entry
BEST, LAST, PREVIOUS = "best.safetensors", "last.safetensors", "previous.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    tensors: Tensors
    record: dict

    @property
    def weights(self) -> Tensors:
        return {name: tensor for name, tensor in self.tensors.items() if not name.startswith("optimizer.")}

    @property
    def optimizer(self) -> Tensors:
        return under("optimizer.", self.tensors)

    def build(self, backend: str | None = None, device: str = "cpu") -> tuple[RNNModel, Vocab]:
        """The model, on the backend that trained it or another, ready to use, and its vocabulary."""
        vocab = Vocab.from_tokens(self.record["vocab"])
        model = RNNModel(**self.record["model"], backend=backend or self.record["config"]["backend"])
        model.load_book_weights(self.weights)
        return model.to(device).eval(), vocab


def save(path: Path, weights: Tensors, optimizer: Tensors, record: dict) -> None:
    """Write a checkpoint durably. EnvironmentFault where the disk refuses; the old file is then intact."""
    tensors = weights | {f"optimizer.{name}": tensor for name, tensor in optimizer.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = finite({**record, "format": FORMAT, "versions": versions()})
    record["sha256"] = digest(tensors, record)
    write_durably(path, safetensors.torch.save(tensors, {KEY: json.dumps(record, allow_nan=False)}))


def save_last(directory: Path, weights: Tensors, optimizer: Tensors, record: dict) -> None:
    """Write `last`; what was last becomes `previous`. At every moment one of the two is good."""
    if (directory / LAST).exists():
        os.replace(directory / LAST, directory / PREVIOUS)
    save(directory / LAST, weights, optimizer, record)


def find(run_or_checkpoint: str) -> Path:
    """The file meant by RUN_OR_CHECKPOINT: the best one of a run directory, or the file itself."""
    path = Path(run_or_checkpoint)
    if not path.is_dir():
        return path
    if not (path / BEST).exists():
        raise BadInput(f"checkpoint: {path} has no {BEST}: give a run directory or a .safetensors file")
    return path / BEST


def load(path: Path) -> Checkpoint:
    """Read and check a checkpoint; BadInput says in one line what is wrong with the file."""
    data = read_file(path, "checkpoint")
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise BadInput(f"checkpoint: {path} is a pickle or a zip, not a safetensors file: refused")
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise BadInput(f"checkpoint: {path} is not a whole safetensors file ({str(error)!a})") from None
    try:
        record = json.loads(header["__metadata__"][KEY])
        if record["format"] != FORMAT:
            raise BadInput(f"checkpoint: {path} has format {record['format']!r}: this program reads {FORMAT}")
        whole = record["sha256"] == digest(tensors, record)
    except (KeyError, TypeError, json.JSONDecodeError):
        raise BadInput(f"checkpoint: {path} was not written by lstmlm: its record is missing") from None
    if not whole:
        raise BadInput(f"checkpoint: {path} is damaged: its SHA-256 is not the recorded one")
    return Checkpoint(tensors, record)


def digest(tensors: Tensors, record: dict) -> str:
    """SHA-256 over the record (but its own `sha256`) and every tensor's name, type, shape and bytes."""
    whole = hashlib.sha256()
    rest = {key: value for key, value in record.items() if key != "sha256"}
    whole.update(json.dumps(rest, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.numpy().tobytes())
    return whole.hexdigest()


def versions() -> dict[str, str]:
    return {
        "lstmlm": lstmlm.__version__,
        "torch": str(torch.__version__),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def finite(value):
    """The value with infinities and NaN, which JSON lacks, as strings."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
