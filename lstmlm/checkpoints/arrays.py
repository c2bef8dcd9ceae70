"""The contents of a checkpoint file as numpy arrays, and the trained model that they are. No torch.

Every file is read here: checkpoint.py makes tensors of the arrays, and sampling uses them as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
from numpy.typing import NDArray

from lstmlm.checkpoints.record import Record
from lstmlm.checkpoints.validation import read_checked
from lstmlm.model.model_config import ModelConfig
from lstmlm.system.arrays import Floats
from lstmlm.system.dotted import flatten, under
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import Vocab, restore_vocab

LARGEST_WEIGHT = 1e15  # a sum of 2^20 products of two such is finite in float32
APART = ("optimizer.", "ema.", "run.")  # prefixes of the tensors that are not the model's weights
DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8, "BF16": np.uint16}

Array = NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class TrainedModel:
    """A model as sampling needs it: what it is made of, its weights under d2l's names, and its vocabulary."""

    config: ModelConfig
    weights: dict[str, Floats]
    vocab: Vocab
    record: Record


def load_trained_model(path: Path, average: bool = False) -> TrainedModel:
    """The model of a checkpoint, with its averaged weights if `average`. BadInput if the file is refused."""
    arrays, record = read_arrays(path)
    weights = select_weights(take_average(arrays) if average else arrays)
    return TrainedModel(ModelConfig.from_record(record["model"]), weights, restore_vocab(record["vocab"]), record)


def read_arrays(path: Path) -> tuple[dict[str, Array], Record]:
    """The tensors of a checkpoint by name, and its record. BadInput, with the reason in one line, if it is refused."""
    data, record = read_checked(path)
    try:
        described = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, ValueError) as error:
        raise BadInput(f"checkpoint: {path} is not a whole safetensors file ({str(error)!a})") from None
    arrays = {name: make_array(tensor) for name, tensor in described}
    if name := find_unsound(arrays):
        raise BadInput(f"checkpoint: {path}: {name} has numbers that are not finite, or too large to compute with")
    return arrays, record


def make_array(tensor: Mapping[str, Any]) -> Array:
    """A tensor as safetensors describes it (dtype, shape, data) as an array; bfloat16 becomes float32, exactly.

    Validation has checked its type.
    """
    array: Array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array


def find_unsound(tensors: Mapping[str, Any]) -> str | None:
    """The name of the first tensor with a number that is not finite, or with a weight too large to compute with.

    The tensors are arrays, or torch's.
    """
    for name, tensor in tensors.items():
        bound = math.inf if name.startswith(("optimizer.", "run.")) else LARGEST_WEIGHT
        if not (abs(tensor) < bound).all():  # false for NaN too
            return name
    return None


def select_weights(tensors: Mapping[str, T]) -> dict[str, T]:
    """The model's weights among the tensors of a checkpoint, by d2l's names."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(APART)}


def take_average(tensors: Mapping[str, T]) -> dict[str, T]:
    """The tensors with the moving average (train.ema) as the weights; BadInput if there is none."""
    average = under("ema.", tensors)
    if not average:
        raise BadInput("--ema: the checkpoint has no averaged weights: its run had train.ema=null: leave --ema out")
    return {**tensors, **average}


def get_prompt(record: Record) -> str:
    """What the samples of the run begin with; empty in a file that does not have it."""
    stored = record.get("prompt") or flatten(record["config"]).get("sample.prompt")
    return stored if isinstance(stored, str) else ""
