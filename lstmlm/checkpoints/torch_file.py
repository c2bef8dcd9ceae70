"""The tensors of a torch file, which may be hostile. Only `convert --from-torch` reads such files.

torch.load(weights_only=True) runs no code of a file, but it allocates as much memory as a file claims, and it does not
verify checksums. So the file is validated first: it must be a zip of uncompressed entries, each with a correct CRC, and
its pickle must be small; the pickle's opcodes are read without executing them, and may name only the parts of a
state_dict. torch.load gets these entries in a new zip, not the file itself, because two readers of one zip may find
different contents. Of the result only dense tensors of floats are accepted. A file that fails is refused, not read in
another way.
"""

import contextlib
import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lstmlm.checkpoints.safetensors_file import MAX_FILE, Refused, read_regular
from lstmlm.layers.contract import Tensors
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.system.hashing import hash_text

OLDEST_TORCH = (2, 10)  # older ones can be made to write outside of their memory by weights_only files (CVE-2026-24747)
MAX_ENTRIES, MAX_PICKLE = 2_000, 1 << 20  # bytes
MAX_OPCODES, MAX_DEPTH = 40_000, 16  # a tensor takes some 30 opcodes; a state_dict is 6 to 8 deep
ENTRY = re.compile(
    r"[^/]+/(data\.pkl|data/[0-9]+|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
GLOBALS |= {"torch FloatStorage", "torch DoubleStorage", "torch HalfStorage", "torch BFloat16Storage"}
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

# Number of values that an opcode replaces by one on the stack; TO_MARK: all above the last mark
TO_MARK = -1
TAKES = dict.fromkeys(["NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT", "EMPTY_TUPLE", "BINUNICODE"], 0)
TAKES |= dict.fromkeys(["BININT", "BININT1", "BININT2", "LONG1"], 0)
TAKES |= {"TUPLE1": 1, "BINPERSID": 1, "TUPLE2": 2, "REDUCE": 2, "BUILD": 2, "TUPLE3": 3, "SETITEM": 3}
TAKES |= {"TUPLE": TO_MARK, "SETITEMS": TO_MARK}


def read_state(path: Path) -> tuple[Tensors, str]:
    """The tensors of a state_dict, as float32 on the CPU, and the SHA-256 of the file.

    A tuple of state_dicts, such as `torch_weights.to_torch` returns, is read as one. Raises BadInput if the file is
    refused, EnvironmentFault if this torch is too old to read it safely.
    """
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < OLDEST_TORCH:
        raise EnvironmentFault(f"--from-torch: torch {torch.__version__} is not safe here: install torch 2.10 or later")
    data = read_regular(path, "--from-torch")
    try:
        entries = read_entries(data)
        check_pickle(entries["data.pkl"])
        return take_plain_tensors(load_repacked(entries)), hash_text(data)
    except Refused as reason:
        raise BadInput(f"--from-torch: {path} {reason}") from None


@contextlib.contextmanager
def refuse_failures(what: str) -> Iterator[None]:
    """Turn an exception of the block, caused by a damaged or hostile file, into Refused; suppress its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused(f"is damaged: {what} ({type(error).__name__})") from None


def read_entries(data: bytes) -> dict[str, bytes]:
    """The contents of the zip's entries by name, without the folder that all entries are in."""
    if not data.startswith(b"PK\3\4"):
        raise Refused("was not written by torch.save (1.6 or later): it is no zip")
    if data.count(b"PK\1\2") > MAX_ENTRIES:  # counted before zipfile makes an object of each
        raise Refused(f"is no plain state_dict: more than {MAX_ENTRIES:,} entries")
    with refuse_failures("its zip cannot be read"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if any(info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size for info in infos):
            raise Refused("has compressed entries, which torch does not write")
        if sum(info.file_size for info in infos) > len(data):
            raise Refused("is damaged: its entries are larger than the file")
        contents = {info.filename: archive.read(info) for info in infos}  # BadZipFile where the CRC is wrong
    if wrong := [name for name in contents if not ENTRY.fullmatch(name)]:
        raise Refused(f"is no plain state_dict: it holds {ascii(wrong[0])[:60]}: save model.state_dict() alone")
    if len(contents) != len(infos) or len({name.partition("/")[0] for name in contents}) != 1:
        raise Refused("is damaged: an entry stands twice, or apart from the others")
    entries = {name.partition("/")[2]: content for name, content in contents.items()}
    if not 0 < len(entries.get("data.pkl", b"")) <= MAX_PICKLE:
        raise Refused(f"is no plain state_dict: its data.pkl is missing, or larger than {MAX_PICKLE >> 20} MiB")
    return entries


def check_pickle(data: bytes) -> None:
    """Follow the opcodes of a pickle without executing them; Refused for any that a state_dict does not need.

    Each value is represented on the stack by its depth of nesting: 0 a global, 1 a number or a text.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    with refuse_failures("its pickle cannot be followed"):
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            name = opcode.name
            if name == "GLOBAL":
                if argument not in GLOBALS:
                    raise Refused(f"names {ascii(argument)[:60]}, which is no part of a state_dict")
                stack.append(0)
            elif name == "MARK":
                marks.append(len(stack))
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name in TAKES:
                start = marks.pop() - (name == "SETITEMS") if TAKES[name] == TO_MARK else len(stack) - TAKES[name]
                if start < max(marks[-1:], default=0) or (name == "REDUCE" and stack[start] != 0):
                    raise Refused("is damaged: its pickle takes what is not there, or calls what is no function")
                stack[start:] = [1 + max(stack[start:], default=0)]
            elif (name, argument) not in (("PROTO", 2), ("STOP", None)):
                raise Refused(f"is no plain state_dict: its pickle has {name}: save model.state_dict() alone")
            if count > MAX_OPCODES or max(stack[-1:], default=0) > MAX_DEPTH:
                raise Refused("is no plain state_dict: its pickle is too long, or nested too deep")


def load_repacked(entries: dict[str, bytes]) -> object:
    """The object in a new zip of these entries, loaded by torch with weights_only=True."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    packed.seek(0)
    with refuse_failures("torch cannot load it"):
        return torch.load(packed, weights_only=True, map_location="cpu")


def take_plain_tensors(loaded: object) -> Tensors:
    """The tensors by name, as float32. Refused unless `loaded` has only dense tensors of finite floats."""
    tensors: Tensors = {}
    for part in loaded if isinstance(loaded, tuple) else (loaded,):
        # dict's own methods, because a file may set attributes of any name on an OrderedDict
        if not isinstance(part, dict) or any(not isinstance(name, str) or name in tensors for name in dict.keys(part)):
            raise Refused("is no state_dict, a tensor for each name: save model.state_dict() alone")
        tensors.update(dict.items(part))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise Refused(f"is no plain state_dict: {ascii(name)[:60]} is no tensor: save model.state_dict() alone")
        # A contiguous tensor is no larger than its storage, and the storage no larger than its entry. A tensor may be a
        # part of a storage: on CUDA all weights of an nn.LSTM share one
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not dense or tensor.dtype not in FLOATS or not 1 <= tensor.dim() <= 2 or tensor.numel() == 0:
            raise Refused(f"has a tensor that is no contiguous vector or matrix of floats: {ascii(name)[:60]}")
    if 4 * sum(tensor.numel() for tensor in tensors.values()) > MAX_FILE:
        raise Refused(f"has tensors of more than {MAX_FILE >> 30} GiB in float32")
    tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise Refused(f"has numbers that are not finite: {ascii(wrong[0])[:60]}")
    return tensors
