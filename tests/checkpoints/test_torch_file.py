"""The opcodes of a pickle are followed as its machine would: what they take must be there, and nested no deeper."""

import io
import pickle
import zipfile

import pytest

from lstmlm.checkpoints import torch_file
from lstmlm.checkpoints.safetensors_file import Refused
from lstmlm.checkpoints.torch_file import MAX_DEPTH, check_pickle

KEY = b"X\x01\x00\x00\x00a"


def nest(depth: int, entries: int) -> bytes:
    value: object = 1
    for _ in range(depth):
        value = {str(k): value for k in range(entries)}
    return pickle.dumps(value, 2)


@pytest.mark.parametrize("entries", [1, 2])  # SETITEM and SETITEMS
def test_a_pickle_may_be_nested_so_deep_and_no_deeper(entries):
    assert len([depth for depth in range(1, 2 * MAX_DEPTH) if not is_refused(nest(depth, entries))]) >= MAX_DEPTH // 2
    assert is_refused(nest(2 * MAX_DEPTH, entries))


@pytest.mark.parametrize("entries", [1, 2])
def test_a_number_in_dictionaries_is_as_deep_as_they_are_many_and_one_more(entries):
    assert not is_refused(nest(MAX_DEPTH - 1, entries)) and is_refused(nest(MAX_DEPTH, entries))


def is_refused(data: bytes) -> bool:
    try:
        check_pickle(data)
    except Refused as reason:
        assert "nested too deep" in str(reason)
        return True
    return False


@pytest.mark.parametrize("opcodes", [b"(" + KEY + b"K\x01u", KEY + b"K\x01s", b"}(" + KEY + b"(K\x01us"])
def test_an_opcode_that_takes_what_is_not_there_is_refused(opcodes):
    check_pickle(b"\x80\x02}(" + KEY + b"K\x01u.")
    with pytest.raises(Refused, match=r"takes what is not there|cannot be followed"):
        check_pickle(b"\x80\x02" + opcodes + b".")


def test_a_pickle_may_be_as_large_as_the_bound_and_no_larger(monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(100))
    monkeypatch.setattr(torch_file, "MAX_PICKLE", 100)
    assert torch_file.read_entries(packed.getvalue()) == {"data.pkl": bytes(100)}
    monkeypatch.setattr(torch_file, "MAX_PICKLE", 99)
    with pytest.raises(Refused, match=r"data\.pkl is missing, or larger"):
        torch_file.read_entries(packed.getvalue())
