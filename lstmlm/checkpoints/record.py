"""The record of a checkpoint, what the file says of itself: its fields, their types and bounds.

It may come from a stranger: nothing in it is imported by name or resolved. No torch.
"""

from collections.abc import Mapping
from typing import Any

from lstmlm.checkpoints.safetensors_file import Refused
from lstmlm.model.model_config import ModelConfig
from lstmlm.settings.check import config_from_flat
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.text.labels import FIRST_LABEL
from lstmlm.text.split import SPLITS
from lstmlm.text.vocab import BOUNDARY, LABEL_MARKS, UNK, ByteVocab, read_label

FORMAT = 2  # which is written; 1 is read too
LARGEST_COUNT, LARGEST_FLOAT, LONGEST_TEXT = 1 << 63, 1e300, 4096

Record = dict[str, Any]

# Its fields and their types
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
    labels = [idx for idx, token in enumerate(vocab) if read_label(token) is not None]
    if model.num_labels and labels != list(range(FIRST_LABEL, FIRST_LABEL + model.num_labels)):
        raise Refused("is damaged: vocabulary: it does not have the labels of the model")
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
