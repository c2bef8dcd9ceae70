"""The bytes of a safetensors file, which may come from a stranger: a regular file of bounded size, a bounded header of
strict JSON, tensors of known types that fill the file without holes, and the digest of it all. No torch.
"""

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from lstmlm.system.errors import BadInput

KEY = "lstmlm"  # of the one metadata entry, which is the record
MAX_FILE, MAX_HEADER = 2 << 30, 4 << 20  # bytes
BYTES = {"F32": 4, "F64": 8, "I64": 8, "U8": 1, "BF16": 2}  # per element, of the types that may be there

Description = dict[str, Any]  # of a tensor in the header: dtype, shape, data_offsets


class Refused(Exception):
    """Why a file may not be used."""


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


def open_header(data: bytes) -> tuple[dict[str, Description], dict[str, Any]]:
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


def compute_digest(data: bytes, tensors: dict[str, Description], record: dict[str, Any]) -> str:
    """SHA-256 over the record (but its own `sha256`) and every tensor's name, type, shape and bytes."""
    body = memoryview(data)[8 + int.from_bytes(data[:8], "little") :]
    whole = hashlib.sha256()
    whole.update(json.dumps({key: v for key, v in record.items() if key != "sha256"}, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        start, stop = tensor["data_offsets"]
        whole.update(f"{name} {tensor['dtype']} {tensor['shape']}".encode())
        whole.update(body[start:stop])
    return whole.hexdigest()
