"""The validation of a checkpoint: it may come from a stranger, so every byte is checked as data before it is used.

In this order: a regular file of bounded size; a bounded header of strict JSON; tensors of known types that fill the
file without holes; one record with the fields, types and bounds that this program writes; names and shapes equal to
what the recorded model implies; the SHA-256. Then checkpoint.py loads it and checks that its numbers are finite.
Nothing is imported by name, resolved or unpickled. No torch.
"""

import math
from pathlib import Path

from lstmlm.checkpoints.record import (
    RECORD,
    RECORD_LATER,
    Record,
    check_fields,
    check_record,
    take_present,
    upgrade_record,
)
from lstmlm.checkpoints.safetensors_file import Description, Refused, compute_digest, open_header, read_regular
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.shapes import compute_shapes
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput

PICKLED = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def read_checked(path: Path) -> tuple[bytes, Record]:
    """The bytes of a valid checkpoint, and its record; BadInput says in one line what is wrong."""
    data = read_regular(path)
    try:
        if data[:2] in (b"PK", *PICKLED):
            raise Refused("is a pickle or a zip, not a safetensors file: refused")
        tensors, stored = open_header(data)
        check_fields(stored, RECORD | take_present(RECORD_LATER, stored), "record")
        record = upgrade_record(stored)
        check_record(record)
        check_names(tensors, record)
        if compute_digest(data, tensors, stored) != stored["sha256"]:
            raise Refused("is damaged: its SHA-256 is not the recorded one")
    except Refused as reason:
        raise BadInput(f"checkpoint: {path} {reason}") from None
    return data, record


def check_names(tensors: dict[str, Description], record: Record) -> None:
    """The tensors are exactly the model's weights, their average if the settings have train.ema, and tensors of the
    optimizer and the loop, all of the shapes that the model implies.
    """
    model = ModelConfig.from_record(record["model"])
    weights = compute_shapes(model)
    averaged = flatten(record["config"]).get("train.ema") is not None
    expected = weights | ({f"ema.{name}": shape for name, shape in weights.items()} if averaged else {})
    for name, shape in expected.items():
        dtypes = ("F32", "BF16") if name in weights else ("F32",)
        if name not in tensors or tensors[name]["shape"] != shape or tensors[name]["dtype"] not in dtypes:
            raise Refused(f"is damaged: weight {name} is not there in the shape that its model implies")
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        moment, _, weight = rest.partition(".")
        known = name in expected
        known |= name == "optimizer.step" and math.prod(tensor["shape"]) == 1
        if kind == "optimizer" and moment in ("exp_avg", "exp_avg_sq"):
            known |= weights.get(weight) == tensor["shape"] and tensor["dtype"] == "F32"
        if kind == "run" and moment == "carried":
            shape = tensor["shape"]
            known |= len(shape) == 3 and (shape[0], shape[2]) == (model.num_layers, model.num_hiddens)
        known |= name == "run.meter" and tensor["shape"] == [3]
        known |= name == "run.loss_scale" and (tensor["dtype"], tensor["shape"]) == ("F64", [3])
        known |= name in ("run.epoch_start", "run.dropout") and tensor["dtype"] == "U8" and len(tensor["shape"]) == 1
        if not known:
            raise Refused(f"has a tensor that lstmlm does not write: {name!a}")
