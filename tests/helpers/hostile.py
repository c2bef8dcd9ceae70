"""Hostile checkpoints, opened in a process that watches itself: python -m helpers.hostile GOOD_FILE FOLDER MUTATIONS

Makes hostile variants of a good checkpoint in the folder, limits its own memory and time, and loads each under an audit
hook. Prints a JSON object: for each file how it ended, how long it took, and what it did that loading must not do.
"""

import base64
import contextlib
import functools
import itertools
import json
import math
import os
import pickle
import random
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch

from lstmlm import cli
from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.safetensors_file import KEY, Refused, compute_digest, open_header
from lstmlm.system.errors import BadInput

FORBIDDEN = ("pickle.find_class", "exec", "compile", "import", "os.system", "subprocess.Popen", "socket.connect")
FORBIDDEN += ("ctypes.dlopen", "os.exec", "os.remove", "os.rename", "shutil.rmtree")


def assemble(header: dict, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def split(data: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(data: bytes, change) -> bytes:
    header, body = split(data)
    change(header)
    return assemble(header, body)


def with_record(data: bytes, change) -> bytes:
    """The record changed and signed again, so that only what stands in it can be refused."""
    header, body = split(data)
    record = json.loads(header["__metadata__"][KEY])
    change(record)
    header["__metadata__"][KEY] = json.dumps(record)
    unsigned = assemble(header, body)
    with contextlib.suppress(Refused, ValueError):
        record["sha256"] = compute_digest(unsigned, open_header(unsigned)[0], record)
    header["__metadata__"][KEY] = json.dumps(record)
    return assemble(header, body)


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(tree):
        for key in path:
            tree = tree[key]
        tree[last] = value

    return change


class Payload:
    def __reduce__(self):
        return os.system, ("echo ran > RAN",)


def hostile(good: bytes, folder: Path) -> dict[str, bytes]:
    """Name -> content of each file."""
    header, body = split(good)
    name = "layers.0.W_xi"
    pt = folder / "benign.pt"
    torch.save({"weight": torch.zeros(2)}, pt)
    with zipfile.ZipFile(folder / "zip.zip", "w") as archive:
        archive.writestr("../escape", "x")
    record = json.loads(header["__metadata__"][KEY])
    duplicate = json.dumps(header)[:-1] + f', "{name}": ' + json.dumps(header[name]) + "}"
    weights = {k: v for k, v in checkpoint.load_checkpoint(folder.parent / "good.safetensors").tensors.items()}
    files = {
        "empty": b"",
        "text": b"hello",
        "pickle": pickle.dumps(Payload()),
        "pickle, protocol 2": pickle.dumps(Payload(), 2),
        "torch zip": pt.read_bytes(),
        "zip": (folder / "zip.zip").read_bytes(),
        "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
        "header of 101 MB": struct.pack("<Q", 101_000_000) + b"{}",
        "header past the end": struct.pack("<Q", len(good)) + good[8:],
        "cut": good[: len(good) // 2],
        "one byte short": good[:-1],
        "one byte more": good + b"\0",
        "deep JSON": assemble(b"[" * 100_000 + b"]" * 100_000, b""),
        "long integer": assemble(b'{"a": ' + b"9" * 5000 + b"}", b""),
        "NaN in JSON": assemble(b'{"a": NaN}', b""),
        "a list": assemble(b"[]", b""),
        "not UTF-8": assemble(b'{"\xff": 1}', b""),
        "duplicate tensor": assemble(duplicate.encode(), body),
        "no record": with_header(good, lambda h: h.pop("__metadata__")),
        "second metadata key": with_header(good, put("__metadata__", "x", "y")),
        "record is no JSON": with_header(good, put("__metadata__", KEY, "{")),
        "record is a list": with_header(good, put("__metadata__", KEY, "[]")),
        "record of NaN": with_header(good, put("__metadata__", KEY, json.dumps(record).replace("1", "NaN", 1))),
        "overlap": with_header(good, lambda h: h[name].update(data_offsets=[0, 63 * 24 * 4])),
        "negative offsets": with_header(good, put(name, "data_offsets", [-8, 6040])),
        "lying shape": with_header(good, put(name, "shape", [24, 24])),
        "huge shape": with_header(good, put(name, "shape", [2**40, 0])),
        "rank 100 000": with_header(good, put(name, "shape", [1] * 100_000)),
        "transposed": with_header(good, put(name, "shape", [24, 63])),
        "type F16": with_header(good, put(name, "dtype", "F16")),
        "type unknown": with_header(good, put(name, "dtype", "EVIL")),
        "name with escapes": with_header(good, lambda h: h.update({"\x1b]0;x\x07../": h.pop(name)})),
        "missing weight": assemble({k: v for k, v in header.items() if k != name}, body),
        "no digest": with_header(good, put("__metadata__", KEY, json.dumps({**record, "sha256": ""}))),
        "flipped bit": good[:-500] + bytes([good[-500] ^ 1]) + good[-499:],
        "rate of 10^400": with_record(good, put("config", "train", "lr", 10**400)),
        "steps of 10^400": with_record(good, put("config", "train", "max_steps", 10**400)),
        "split 700 deep": with_record(
            good, put("config", "data", "split", functools.reduce(lambda s, _: [s], range(700), 1))
        ),
        "fraction of 10^400": with_record(good, put("config", "data", "split", [10**400, 0.1, 0.1])),
        "batch of -1": with_record(good, put("loop", "batch", -1)),
        "batch of 10^30": with_record(good, put("loop", "batch", 10**30)),
        "seconds of 10^400": with_record(good, put("loop", "seconds", 10**400)),
        "step of 10^4000": with_record(good, put("step", 10**4000)),
        "step of -3": with_record(good, put("step", -3)),
        "reading of 10^400": with_record(good, put("loop", "since_evaluation", [10**400, 0, 0, 0, 0])),
        "a path of 80 000 characters": with_record(good, put("data", "path", "a" * 80_000)),
        "a start from nowhere": with_record(good, put("started_from", {"path": 5})),
        "a start at step -1": with_record(
            good, put("started_from", {"path": "a", "sha256": "0", "step": -1, "text": "b"})
        ),
        "hidden 2^40": with_record(good, put("model", "num_hiddens", 2**40)),
        "100 000 layers": with_record(good, put("model", "num_layers", 100_000)),
        "layers as text": with_record(good, put("model", "num_layers", "1")),
        "unknown cell": with_record(good, put("model", "cell", "os.system")),
        "extra argument": with_record(good, put("model", "_target_", "os.system")),
        "dropout of NaN as text": with_record(good, put("model", "dropout", "nan")),
        "weight drop of all weights": with_record(good, put("model", "weight_drop", 1)),
        "unknown setting": with_record(good, put("config", "_target_", "os.system")),
        "setting to resolve": with_record(good, put("config", "data", "batch_size", "${oc.env:HOME}")),
        "setting out of bounds": with_record(good, put("config", "train", "lr", -1)),
        "average that is not there": with_record(good, put("config", "train", "ema", 0.9)),
        "average of text": with_record(good, put("config", "train", "ema", "0.9")),
        "count of text": with_record(good, put("loop", "evaluations_since_best", "1")),
        "unknown backend": with_record(good, put("config", "backend", "torch.load")),
        "vocabulary too short": with_record(good, put("vocab", ["<unk>", "a"])),
        "vocabulary of words": with_record(good, put("vocab", 5, "two words")),
        "vocabulary with twins": with_record(good, put("vocab", 5, record["vocab"][6])),
        "vocabulary of numbers": with_record(good, put("vocab", 5, 7)),
        "step as text": with_record(good, put("step", "40")),
        "pieces from below": with_record(good, put("data", "pieces", "val", [[-5, 10]])),
        "pieces missing": with_record(good, put("data", "pieces", {})),
        "bytes that are none": with_record(good, put("vocab", 0, "\0")),
        "loop of texts": with_record(good, put("loop", "batch", "0")),
        "short reading": with_record(good, put("loop", "this_epoch", [1])),
        "metrics of texts": with_record(good, put("metrics", "loss/val", "__import__")),
        "versions of numbers": with_record(good, put("versions", "torch", 2)),
        "extra field": with_record(good, put("code", base64.b64encode(b"x").decode())),
        "later format": with_record(good, put("format", 99)),
    }
    metadata = {KEY: json.dumps(record)}
    unasked = safetensors.torch.save({**weights, "ema.b_q": weights["b_q"].clone()}, metadata)
    files["average unasked"] = with_record(unasked, lambda record: None)
    for value, label in ((math.nan, "NaN weights"), (math.inf, "infinite weights"), (1e38, "huge weights")):
        poisoned = {**weights, name: weights[name].clone()}
        poisoned[name][0, 0] = value
        files[label] = with_record(safetensors.torch.save(poisoned, metadata), lambda record: None)
    return files


def mutations(good: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """Seeded damage: flipped bits, changed and swapped bytes in the header, cuts, holes, doubled pieces."""
    chance, length = random.Random(0), 8 + int.from_bytes(good[:8], "little")
    for k in range(count):
        data, kind = bytearray(good), chance.choice(["bit", "header", "swap", "cut", "hole", "double", "length"])
        at = chance.randrange(len(data))
        if kind == "bit":
            data[at] ^= 1 << chance.randrange(8)
        elif kind == "header":
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(length)] = chance.randrange(256)
        elif kind == "swap":
            a, b = chance.randrange(length), chance.randrange(length)
            data[a], data[b] = data[b], data[a]
        elif kind == "cut":
            del data[at:]
        elif kind == "hole":
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        elif kind == "double":
            data[at:at] = data[at : at + chance.randrange(1, 64)]
        else:
            data[:8] = struct.pack("<Q", chance.choice([0, 1, length, length - 9, length - 7, 2**31, 2**64 - 1]))
        yield f"mutation {k} {kind}", bytes(data)


def watch() -> list[str]:
    """What happens from now on that loading a file must not do."""
    seen = []

    def hook(event, args):
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
        if writes or event in FORBIDDEN:
            seen.append(f"{event} {args!r:.80}")

    sys.addaudithook(hook)
    return seen


def main(good_file: str, place: str, count: str) -> None:
    good, folder = Path(good_file).read_bytes(), Path(place)
    folder.mkdir()
    (folder.parent / "good.safetensors").write_bytes(good)
    with open(folder / "sparse.safetensors", "wb") as sparse:
        sparse.truncate(1 << 40)
    os.mkfifo(folder / "fifo.safetensors")
    special = {"sparse file of 1 TB": folder / "sparse.safetensors", "pipe": folder / "fifo.safetensors"}
    special |= {"device": Path("/dev/zero"), "folder": folder}
    crafted = hostile(good, folder)
    reference = checkpoint.load_checkpoint(Path(good_file)).tensors
    with contextlib.suppress(BadInput):
        checkpoint.load_checkpoint(folder)  # what is imported at a first refusal
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (256 << 20), in_use + (256 << 20)))
    seconds = 120 + int(count) // 50
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    seen, results = watch(), {}
    written = folder / "hostile.safetensors"
    for name, content in itertools.chain(crafted.items(), special.items(), mutations(good, int(count))):
        path = content if isinstance(content, Path) else written
        if path is written:
            written.write_bytes(content)
            seen.clear()
        start = time.perf_counter()
        try:
            tensors = checkpoint.load_checkpoint(path).tensors
            equal = tensors.keys() == reference.keys() and all(torch.equal(tensors[k], reference[k]) for k in tensors)
            end = "equal" if equal else "loaded, and different"
        except BadInput as error:
            lines = str(error).count("\n") + (not str(error).isprintable())
            end = f"refused: {error}" if not lines else f"refused in more than one line: {error!r}"
        except BaseException as error:
            end = f"not refused: {error!r}"
        results[name] = {"end": end, "seconds": time.perf_counter() - start, "did": list(seen)}
        seen.clear()
    print(json.dumps(results))


if __name__ == "__main__":
    assert cli  # imported before the watch begins
    main(*sys.argv[1:])
