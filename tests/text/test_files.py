"""A path means the files that a person expects, sorted and decompressed; and none that would block."""

import gzip
import hashlib
import itertools
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.system.errors import BadInput
from lstmlm.text import files
from lstmlm.text.decoding import Decoder, find_last_boundary
from lstmlm.text.files import hash_files, list_files, read_pieces


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden", ".git/x", "d[1].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(b"e" * 100))
    return tmp_path


def names(files, folder):
    return [str(path.relative_to(folder)) for path in files]


def test_a_folder_is_all_its_files_in_order_and_a_pattern_those_that_match(folder):
    assert names(list_files(folder, "x"), folder) == ["a.txt", "b.txt", "d[1].txt", "deep/c.txt", "e.txt.gz"]
    assert names(list_files(f"{folder}/*.txt", "x"), folder) == ["a.txt", "b.txt", "d[1].txt"]
    assert names(list_files(f"{folder}/**/c*", "x"), folder) == ["deep/c.txt"]
    assert names(list_files(folder / "d[1].txt", "x"), folder) == ["d[1].txt"]


def test_a_path_without_a_regular_file_is_refused_by_name(folder):
    os.mkfifo(folder / "pipe")
    (folder / "empty").mkdir()
    for path, complaint in (("nothere", "no such file"), ("no*pe", "no such file"), ("empty", "holds no files")):
        with pytest.raises(BadInput, match=f"^data.path: .*{complaint}"):
            list_files(folder / path, "data.path")
    with pytest.raises(BadInput, match="not a regular file"):
        list_files(folder / "pipe", "data.path")
    assert "pipe" not in names(list_files(folder, "x"), folder)


def test_a_gzipped_file_is_decompressed(folder):
    assert b"".join(read_pieces(folder / "e.txt.gz", "x")) == b"e" * 100
    assert hash_files({"x": [folder / "a.txt"], "y": [folder / "e.txt.gz"]}) == (
        hashlib.sha256(b"a.txt" + b"e" * 100).hexdigest(),
        105,
    )
    for damage in (lambda data: data[:-9], lambda data: b"xx" + data[2:], lambda data: data[:12] + b"xxx" + data[15:]):
        (folder / "bad.gz").write_bytes(damage((folder / "e.txt.gz").read_bytes()))
        with pytest.raises(BadInput, match=r"^data\.val_path: .*bad\.gz is not a whole gzip file"):
            hash_files({"data.path": [folder / "e.txt.gz"], "data.val_path": [folder / "bad.gz"]})


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-32"]), st.integers(0, 1000))
def test_a_text_cut_anywhere_reads_as_the_whole(text, encoding, seed):
    data, chance = text.encode(encoding), random.Random(seed)
    cuts = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(5))})
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    read = "".join(Decoder(encoding, "none").decode(pieces, "x", "data.path"))
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    if encoding == "utf-8":
        expected = expected.removeprefix("\ufeff")
    assert read == expected


marks = st.text(st.sampled_from("ea\u0301\u0327\u1100\u1161\u11a8\uac00\u4e2d\u3099\u304b \n"))


@given(marks, st.integers(1, 4))
def test_normalized_in_pieces_is_normalized_whole(text, size):
    import unicodedata

    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert "".join(Decoder("utf-8", "nfc").decode(pieces, "x", "data.path")) == unicodedata.normalize("NFC", text)
    at = find_last_boundary(text)
    halves = (unicodedata.normalize("NFC", part) for part in (text[:at], text[at:]))
    assert "".join(halves) == unicodedata.normalize("NFC", text)


def test_a_folder_without_end_is_refused(folder, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILES", 3)
    with pytest.raises(BadInput, match="more than 3 files"):
        list_files(folder, "data.path")
