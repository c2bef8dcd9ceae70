"""A torch file from elsewhere, maybe from a stranger: its tensors. Only `convert --from-torch` comes here.

torch.load(weights_only=True) runs no code of a file, but alone it opens files that claim more memory than there is, and
it does not look at checksums. So a gate stands before it: a zip of stored entries, each read with its CRC, and a small
pickle whose opcodes are read, not executed, and which names nothing but what a state_dict is made of. Torch gets these
entries packed anew, not the file, because two readers of a zip may find two contents in it. Of what it gives only dense
tensors of plain numbers pass. A file that fails is refused, and not tried in another way.
"""

import contextlib
import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from lstmlm.checkpoints.validation import MAX_FILE, Refused, read_regular
from lstmlm.layers.contract import Tensors
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.system.hashing import hash_text

OLDEST_TORCH = (2, 10)  # of torch: before, this kind of loading could be made to write past its memory (CVE-2026-24747)
MAX_ENTRIES, MAX_PICKLE = 2_000, 1 << 20  # bytes
MAX_OPCODES, MAX_DEPTH = 40_000, 16  # a tensor takes some 30 opcodes; a state_dict is 6 to 8 deep
ENTRY = re.compile(
    r"[^/]+/(data\.pkl|data/[0-9]+|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
GLOBALS |= {"torch FloatStorage", "torch DoubleStorage", "torch HalfStorage", "torch BFloat16Storage"}
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

# How many values an opcode takes from the stack, to leave one; TO_MARK: all above the last mark
TO_MARK = -1
TAKES = dict.fromkeys(["NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT", "EMPTY_TUPLE", "BINUNICODE"], 0)
TAKES |= dict.fromkeys(["BININT", "BININT1", "BININT2", "LONG1"], 0)
TAKES |= {"TUPLE1": 1, "BINPERSID": 1, "TUPLE2": 2, "REDUCE": 2, "BUILD": 2, "TUPLE3": 3, "SETITEM": 3}
TAKES |= {"TUPLE": TO_MARK, "SETITEMS": TO_MARK}


def read_state(path: Path) -> tuple[Tensors, str]:
    """The tensors of a state_dict, as float32 on the CPU, and the SHA-256 of the file; BadInput says what is wrong.

    A tuple of state_dicts, such as `exchange.to_torch` returns, is taken as one.
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
    """Whatever a stranger's file makes a reader stumble over, as Refused; what it makes it warn of, unsaid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused(f"is damaged: {what} ({type(error).__name__})") from None


def read_entries(data: bytes) -> dict[str, bytes]:
    """The contents of the zip by name, without the folder that all of them are in."""
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
    """Follow the opcodes. In place of each value stands how deep it is nested: 0 a global, 1 a number or a text."""
    stack, marks, memo = [], [], {}
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
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    packed.seek(0)
    with refuse_failures("torch cannot load it"):
        return torch.load(packed, weights_only=True, map_location="cpu")


def take_plain_tensors(loaded: object) -> Tensors:
    """The tensors by name, as float32; Refused unless all that was loaded are dense tensors of finite numbers."""
    tensors = {}
    for part in loaded if isinstance(loaded, tuple) else (loaded,):
        # Methods of dict, because a file may give an OrderedDict attributes of any name
        if not isinstance(part, dict) or any(not isinstance(name, str) or name in tensors for name in dict.keys(part)):
            raise Refused("is no state_dict, a tensor for each name: save model.state_dict() alone")
        tensors.update(dict.items(part))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise Refused(f"is no plain state_dict: {ascii(name)[:60]} is no tensor: save model.state_dict() alone")
        # Contiguous, so no larger than its storage, which is no larger than its entry. A part of a storage will do: on
        # CUDA all weights of an nn.LSTM are parts of one
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not dense or tensor.dtype not in FLOATS or not 1 <= tensor.dim() <= 2 or tensor.numel() == 0:
            raise Refused(f"has a tensor that is no contiguous vector or matrix of floats: {ascii(name)[:60]}")
    if 4 * sum(tensor.numel() for tensor in tensors.values()) > MAX_FILE:
        raise Refused(f"has tensors of more than {MAX_FILE >> 30} GiB in float32")
    tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise Refused(f"has numbers that are not finite: {ascii(wrong[0])[:60]}")
    return tensors
