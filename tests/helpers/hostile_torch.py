"""Hostile torch files, opened in a process that watches itself: python -m helpers.hostile_torch FOLDER MUTATIONS

As hostile.py, for `convert --from-torch`. Prints for each file how it ended, how long it took, and what it did.
"""

import io
import json
import os
import pickle
import random
import resource
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from helpers.hostile import Payload, watch
from lstmlm.checkpoints.torch_file import read_state
from lstmlm.system.errors import BadInput


def saved(value, **options) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def good() -> bytes:
    """A state_dict as people save it."""
    model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(7, 5), "linear": torch.nn.Linear(5, 7)})
    return saved(model.state_dict())


def packed(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_pickle(code: bytes) -> bytes:
    return packed(unpacked(good()) | {"archive/data.pkl": b"\x80\x02" + code})


class Claims:
    """A tensor of any size and stride over a storage of ten numbers."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.view = size, stride

    def __reduce__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch._utils._rebuild_tensor_v2, (torch.zeros(10).storage(), 0, *self.view, False, {})


def hostile() -> dict[str, bytes]:
    """Name -> content of each file."""
    whole, weight = good(), torch.zeros(20, 7)
    entries = unpacked(whole)
    storage, code = "archive/data/0", entries["archive/data.pkl"][2:]
    flipped = bytearray(whole)
    flipped[whole.index(entries[storage]) + 100] ^= 1
    lies = bytearray(packed({storage: b"abcd"}))
    for signature, at in ((b"PK\3\4", 18), (b"PK\1\2", 20)):
        start = lies.index(signature) + at
        lies[start : start + 8] = (1 << 30).to_bytes(4, "little") * 2
    return {
        "empty": b"",
        "text": b"hello",
        "pickle": pickle.dumps(Payload()),
        "os.system": saved(Payload()),
        "os.system among tensors": saved({"rnn.weight_ih_l0": weight, "x": Payload()}),
        "legacy": saved({"rnn.weight_ih_l0": weight}, _use_new_zipfile_serialization=False),
        "legacy os.system": saved(Payload(), _use_new_zipfile_serialization=False),
        "protocol 4": saved({"rnn.weight_ih_l0": weight}, pickle_protocol=4),
        "truncated": whole[: len(whole) // 2],
        "one byte short": whole[:-1],
        "bad CRC": bytes(flipped),
        "deflate bomb": packed(entries | {storage: b"\0" * (20 << 20)}, zipfile.ZIP_DEFLATED),
        "sizes that lie": bytes(lies),
        "many entries": packed({f"archive/data/{k}": b"" for k in range(3000)}),
        "entry elsewhere": packed(entries | {"../data/9": b""}),
        "second folder": packed(entries | {"other/data/9": b""}),
        "entry twice": whole[:-22].replace(b"archive/data/1", b"archive/data/0") + whole[-22:],
        "torchscript": packed(entries | {"archive/constants.pkl": b"\x80\x02)."}),
        "no pickle": packed({storage: b"abcd"}),
        "large pickle": with_pickle(b"X" + (2 << 20).to_bytes(4, "little") + b"a" * (2 << 20) + b"."),
        "expand bomb": saved({"rnn.weight_ih_l0": Claims((10**6, 10**6), (0, 0))}),
        "expand bomb, dense": saved({"rnn.weight_ih_l0": Claims((10**6, 10**6), (10**6, 1))}),
        "past the storage": saved({"rnn.weight_ih_l0": Claims((1000,), (1,))}),
        "meta tensor": saved({"rnn.weight_ih_l0": torch.empty(10**6, 10**6, device="meta")}),
        "bytearray bomb": with_pickle(b"c__builtin__\nbytearray\nJ\x00\x00\x00\x40\x85R."),
        "deep lists": with_pickle(b"]" * 200_000 + b"a" * 199_999 + b"."),
        "deep tuples": with_pickle(b")" + b"\x85" * 400_000 + b"."),
        "tuples too deep": with_pickle(b")" + b"\x85" * 1000 + b"."),
        "deep key": with_pickle(b"})" + b"\x85" * 30_000 + b"Ns."),
        "deep by memory": with_pickle(b")q\0" + b"h\0\x85q\0" * 1000 + b"."),
        "long": with_pickle(b"N\x85" * 100_000 + b"."),
        "empty stack": with_pickle(b"R."),
        "no end": with_pickle(b"}"),
        "across a mark": with_pickle(b"N(\x86."),
        "a tensor called": with_pickle(code[:-1] + b")R."),
        "storage that is not there": with_pickle(code.replace(b"\1\0\0\x000", b"\1\0\0\x009")),
        "a module": saved(torch.nn.Linear(2, 2)),
        "with an epoch": saved({"model": {"rnn.weight_ih_l0": weight}, "epoch": 3}),
        "a list": saved([weight]),
        "a tensor": saved(weight),
        "numbers as names": saved({0: weight}),
        "integers": saved({"rnn.weight_ih_l0": weight.long()}),
        "sparse": saved({"rnn.weight_ih_l0": weight.to_sparse()}),
        "transposed": saved({"rnn.weight_ih_l0": weight.T}),
        "three axes": saved({"rnn.weight_ih_l0": weight[None]}),
        "not finite": saved({"rnn.weight_ih_l0": weight + float("nan")}),
    }


def mutations(count: int) -> Iterator[tuple[str, bytes]]:
    """Seeded damage, half of it to the pickle behind the checksums."""
    chance, whole = random.Random(0), good()
    entries = unpacked(whole)
    for k in range(count):
        data = bytearray(entries["archive/data.pkl"] if k % 2 else whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            kind = chance.choice(["byte", "cut", "copy"])
            if kind == "byte":
                data[at] = chance.randrange(256)
            elif kind == "cut":
                del data[at : at + chance.randrange(1, 8)]
            else:
                data[at:at] = data[chance.randrange(len(data)) :][: chance.randrange(1, 64)]
        yield f"mutation {k}", packed(entries | {"archive/data.pkl": bytes(data)}) if k % 2 else bytes(data)


def main(place: str, count: str) -> None:
    folder = Path(place)
    (folder / "good.pt").write_bytes(good())
    read_state(folder / "good.pt")  # what is imported at a first reading
    os.mkfifo(folder / "fifo.pt")
    with open(folder / "sparse.pt", "wb") as sparse:
        sparse.truncate(1 << 40)
    "".encode("cp437")  # of zipfile, for names
    files = [*hostile().items(), *mutations(int(count))]
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (256 << 20), in_use + (256 << 20)))
    paths, results = {"pipe": folder / "fifo.pt", "1 TB": folder / "sparse.pt", "folder": folder}, {}
    seen = watch()
    for name, content in [*paths.items(), *files]:
        path = content if isinstance(content, Path) else folder / "hostile.pt"
        if path is not content:
            path.write_bytes(content)
        seen.clear()
        start = time.perf_counter()
        try:
            end = f"loaded {sum(tensor.nbytes for tensor in read_state(path)[0].values())}"
        except BadInput as error:
            end = f"refused: {error}" if str(error).isprintable() else f"refused in more than one line: {error!r}"
        except BaseException as error:
            end = f"not refused: {error!r}"
        results[name] = {"end": end, "seconds": time.perf_counter() - start, "did": list(seen)}
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
