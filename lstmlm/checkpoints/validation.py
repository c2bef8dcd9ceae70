"""The validation of a checkpoint: it may come from a stranger, so every byte is checked as data before it is used.

In this order: a regular file of bounded size; a bounded header of strict JSON; tensors of known types that fill the
file without holes; one record with the fields, types and bounds that this program writes; names and shapes equal to
what the recorded model implies; the SHA-256. Then checkpoint.py loads it and checks that its numbers are finite.
Nothing is imported by name, resolved or unpickled. No torch.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmlm.model.model_config import ModelConfig
from lstmlm.model.shapes import compute_shapes
from lstmlm.settings.check import config_from_flat
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.text.split import SPLITS
from lstmlm.text.vocab import BOUNDARY, LABEL_MARKS, UNK, ByteVocab, read_label

FORMAT = 2  # which is written; 1 is read too
KEY = "lstmlm"  # of the one metadata entry
MAX_FILE, MAX_HEADER = 2 << 30, 4 << 20  # bytes
BYTES = {"F32": 4, "F64": 8, "I64": 8, "U8": 1, "BF16": 2}  # per element, of the types that may be there
LARGEST_COUNT, LARGEST_FLOAT, LONGEST_TEXT = 1 << 63, 1e300, 4096
PICKLED = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))

# The record: field -> type
RECORD = {
    "format": int,
    "sha256": str,
    "step": int,
    "epoch": float,
    "vocab": list,
    "model": dict,
    "config": dict,
    "data": dict,
    "metrics": dict,
    "loop": dict,
    "versions": dict,
}
# Which a file may lack: the start of samples, that of the run, the number of processes that share it, if not one
RECORD_LATER = {"prompt": str, "started_from": dict, "processes": int}
STARTED_FROM = {"path": str, "sha256": str, "step": int, "text": str}
DATA = {"name": str, "path": str, "sha256": str, "split": str, "pieces": dict, "hashes": dict}
DATA_1 = {"name": str, "path": str, "sha256": str, "preprocess": str, "split": str, "ranges": dict, "hashes": dict}
LOOP = {"batch": int, "chars": int, "meter_chars": int, "meter_steps": int, "seconds": float, "training_seconds": float}
LOOP |= {"since_evaluation": list, "this_epoch": list}
LOOP_LATER = {"evaluations_since_best": int, "cpu_seconds": float, "evaluation_due": bool}  # which a file may lack
VERSIONS = {"lstmlm": str, "torch": str, "python": str, "cpu": str}


Record = dict[str, Any]  # what a checkpoint says of itself
Description = dict[str, Any]  # of a tensor in the header: dtype, shape, data_offsets


class Refused(Exception):
    """Why a file may not be used."""


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


def read_regular(path: Path, what: str = "checkpoint") -> bytes:
    """The bytes of a regular file of bounded size; a pipe is not waited for, a device not read. `what` names it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise BadInput(f"{what}: no such file: {path}") from None
    except OSError as error:
        raise BadInput(f"{what}: cannot open {path}: {error.strerror}") from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise BadInput(f"{what}: {path} is not a regular file")
        if facts.st_size > MAX_FILE:
            raise BadInput(f"{what}: {path} is larger than {MAX_FILE >> 30} GiB: refused")
        with open(handle, "rb", closefd=False) as file:
            return file.read(facts.st_size)
    finally:
        os.close(handle)


def strict_json(text: str | bytes, what: str) -> Any:
    """JSON without duplicate keys, NaN or infinities."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=no_duplicates, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"is not a safetensors file of lstmlm: {what}: {ascii(str(error))[:80]}") from None


def open_header(data: bytes) -> tuple[dict[str, Description], Record]:
    """The tensors by name (dtype, shape, data_offsets), checked to fill the file, and the record."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise Refused("is not a whole safetensors file: its header is too large or cut off")
    header = strict_json(data[8 : 8 + length], "header")
    if not isinstance(header, dict):
        raise Refused("is not a safetensors file")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {KEY} or not isinstance(metadata[KEY], str):
        raise Refused("was not written by lstmlm: its record is missing")
    for name, tensor in header.items():
        check_tensor(name, tensor)
    end = 0
    for tensor in sorted(header.values(), key=lambda tensor: tensor["data_offsets"]):
        start, stop = tensor["data_offsets"]
        if start != end:
            raise Refused("is damaged: its tensors overlap or leave holes")
        end = stop
    if end != len(data) - 8 - length:
        raise Refused("is damaged: its tensors do not fill it")
    return header, strict_json(metadata[KEY], "record")


def check_tensor(name: str, tensor: Any) -> None:
    """A known type, at most three axes, and as many bytes as these imply."""
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise Refused(f"is damaged: tensor {name!a} is not described as one")
    shape, offsets = tensor["shape"], tensor["data_offsets"]
    if tensor["dtype"] not in BYTES:
        raise Refused(f"has a tensor of a type that lstmlm does not write: {name!a}")
    if not all(isinstance(n, list) and all(type(i) is int and 0 <= i <= MAX_FILE for i in n) for n in (shape, offsets)):
        raise Refused(f"is damaged: shape or place of tensor {name!a}")
    if len(shape) > 3 or len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * BYTES[tensor["dtype"]]:
        raise Refused(f"is damaged: shape or place of tensor {name!a}")


def upgrade_record(record: Record) -> Record:
    """A record of format 1 in the present format: there a part of the split was one range of characters."""
    if record["format"] == FORMAT:
        return record
    if record["format"] != 1:
        raise Refused(f"has format {record['format']}: this program reads 1 and {FORMAT}")
    check_fields(record["data"], DATA_1, "data")
    pieces = {which: [span] for which, span in record["data"]["ranges"].items()}
    data = {key: value for key, value in record["data"].items() if key in DATA}
    return record | {"format": FORMAT, "data": data | {"pieces": pieces}}


def check_record(record: Record) -> None:
    """The fields of the record, their types and bounds. The configuration is built as the settings' own types."""
    vocab = record["vocab"]
    try:
        model = ModelConfig.from_record(record["model"])
    except BadInput as error:
        raise Refused(f"is damaged: model {ascii(str(error))[1:-1]:.120}") from None
    if not all(isinstance(token, str) for token in vocab) or len(set(vocab)) != len(vocab):
        raise Refused("is damaged: vocabulary: not a list of different characters")
    if len(vocab) != model.vocab_size:
        raise Refused("is damaged: vocabulary: not as long as the model's")
    if vocab != ByteVocab().idx_to_token:
        check_characters(vocab)
    check_fields(record["data"], DATA, "data")
    check_fields(record["loop"], LOOP | take_present(LOOP_LATER, record["loop"]), "loop")
    check_fields(record["versions"], VERSIONS, "versions")
    check_numbers(record)
    for value in record["metrics"].values():
        if not is_finite(value) and value not in ("inf", "-inf", "nan"):  # JSON has no infinity and no NaN
            raise Refused("is damaged: its metrics")
    for which in SPLITS:
        pieces = record["data"]["pieces"].get(which)
        if not isinstance(pieces, list) or not all(isinstance(span, list) and len(span) == 2 for span in pieces):
            raise Refused("is damaged: the pieces of the split")
        if not all(type(end) is int and end >= 0 for span in pieces for end in span):
            raise Refused("is damaged: the pieces of the split")
        if not isinstance(record["data"]["hashes"].get(which), str):
            raise Refused("is damaged: the hashes of the split")
    check_texts(record["data"])
    if "started_from" in record:
        check_fields(record["started_from"], STARTED_FROM, "started_from")
        check_texts(record["started_from"])
        if not 0 <= record["started_from"]["step"] < LARGEST_COUNT:
            raise Refused("is damaged: the step that it started from")
    if not 0 < record.get("processes", 1) < LARGEST_COUNT:
        raise Refused(f"is damaged: processes is {ascii(record['processes'])[:40]}")
    if len(record.get("prompt", "")) > LONGEST_TEXT:
        raise Refused(f"is damaged: its prompt has {len(record['prompt']):,} characters")
    try:
        config_from_flat(flatten(record["config"]))
    except (BadInput, RecursionError, OverflowError) as error:
        raise Refused(f"is damaged: its settings: {ascii(str(error))[:120]}") from None


def check_characters(vocab: list[str]) -> None:
    """<unk> first, and then one character each, but for the labels of documents."""
    labels = [label for label in map(read_label, vocab) if label is not None]
    if vocab[0] != UNK or sum(len(token) != 1 for token in vocab) != 1 + len(labels):
        raise Refused("is damaged: vocabulary: neither <unk> and then one character each, nor the 256 bytes")
    if len(labels) > len(LABEL_MARKS) or any(len(label) > LONGEST_TEXT for label in labels):
        raise Refused("is damaged: vocabulary: too many labels of documents, or too long ones")
    if (labels and BOUNDARY not in vocab) or not set(LABEL_MARKS).isdisjoint(vocab):
        raise Refused("is damaged: vocabulary: the symbols of documents")


def check_numbers(record: Record) -> None:
    """Counts are 0 or more and fit in 63 bits, sums and times are finite: what the loop computes with."""
    loop = record["loop"]
    counts = {
        "step": record["step"],
        **{key: loop[key] for key, kind in (LOOP | LOOP_LATER).items() if kind is int and key in loop},
    }
    for key, count in counts.items():
        if not 0 <= count < LARGEST_COUNT:
            raise Refused(f"is damaged: {key} is {ascii(count)[:40]}")
    for reading in (loop["since_evaluation"], loop["this_epoch"]):
        if len(reading) != 5 or not all(is_finite(value) for value in reading):
            raise Refused("is damaged: the readings of its loop")
    times = {key: loop[key] for key in ("seconds", "training_seconds", "cpu_seconds") if key in loop}
    for key, value in {"epoch": record["epoch"], **times}.items():
        if not is_finite(value):
            raise Refused(f"is damaged: {key} is {ascii(value)[:40]}")


def is_finite(value: Any) -> bool:
    """Whether it is a number that a float holds."""
    return type(value) in (int, float) and -LARGEST_FLOAT <= value <= LARGEST_FLOAT


def check_texts(data: dict[str, Any]) -> None:
    """Names and paths are of a length that a file system could have."""
    for key, value in data.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise Refused(f"is damaged: {key} has {len(value):,} characters")


def take_present(types: Mapping[str, type], record: Any) -> dict[str, type]:
    """Those of the fields that the record has."""
    return {key: kind for key, kind in types.items() if isinstance(record, dict) and key in record}


def check_fields(record: Any, types: Mapping[str, type], what: str) -> None:
    """Exactly these fields, each of its type; an int will do for a float."""
    if not isinstance(record, dict) or set(record) != set(types):
        raise Refused(f"is damaged: the fields of its {what}")
    for key, kind in types.items():
        if type(record[key]) is not kind and not (kind is float and type(record[key]) is int):
            raise Refused(f"is damaged: {what} {key}")


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


def compute_digest(data: bytes, tensors: dict[str, Description], record: Record) -> str:
    """SHA-256 over the record (but its own `sha256`) and every tensor's name, type, shape and bytes."""
    body = memoryview(data)[8 + int.from_bytes(data[:8], "little") :]
    whole = hashlib.sha256()
    whole.update(json.dumps({key: v for key, v in record.items() if key != "sha256"}, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        start, stop = tensor["data_offsets"]
        whole.update(f"{name} {tensor['dtype']} {tensor['shape']}".encode())
        whole.update(body[start:stop])
    return whole.hexdigest()
