"""A path means the files that a person expects, sorted and decompressed; and none that would block."""

import gzip
import hashlib
import itertools
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.system.errors import BadInput
from lstmlm.text import folder as folder_module
from lstmlm.text.decoding import Decoder, find_last_boundary
from lstmlm.text.files import find_copies, hash_files, list_files, read_pieces
from lstmlm.text.folder import natural_key, shorten_names


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden", ".git/x", "d[1].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(b"e" * 100))
    return tmp_path


def names(listing, folder):
    return [str(path.relative_to(folder)) for path in listing.files]


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
        {"x": [5], "y": [100]},
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
    monkeypatch.setattr(folder_module, "MAX_FILES", 3)
    with pytest.raises(BadInput, match="more than 3 files"):
        list_files(folder, "data.path")


def test_a_pattern_that_searches_too_much_is_refused_before_it_is_matched(folder, monkeypatch):
    def match(*args, **options):
        raise AssertionError("it was matched")

    with pytest.raises(BadInput, match="no such file"):  # one folder alone, be it the root
        list_files("/*.no-such-text", "x")

    with monkeypatch.context() as patch:
        patch.setattr("glob.iglob", match)
        for pattern in ("/**/*", "/*/*.txt", f"{folder}/../../../../../../../../../../**/*.txt"):
            with pytest.raises(BadInput, match=r"data\.path: .* searches the whole file system: begin the pattern"):
                list_files(pattern, "data.path")
        patch.setattr(folder_module, "MAX_FILES", 3)
        with pytest.raises(BadInput, match="more than 3 files"):
            list_files(f"{folder}/**/nothing", "data.path")
    monkeypatch.setattr(folder_module, "MAX_FILES", 6)  # what is deeper than the pattern is not counted
    assert names(list_files(f"{folder}/*", "x"), folder)
    for deeper in ("**/*", "*/*"):
        with pytest.raises(BadInput, match="more than 6 files"):
            list_files(f"{folder}/{deeper}", "x")


# Folders of texts, as people keep them


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_numbers_in_names_are_counted_and_not_spelled(tmp_path):
    make(tmp_path, "ch10.txt", "ch2.txt", "ch1/b10", "ch1/b9", "ch02.txt", "Ch3.txt")
    expected = ["Ch3.txt", "ch1/b9", "ch1/b10", "ch02.txt", "ch2.txt", "ch10.txt"]
    assert names(list_files(tmp_path, "x"), tmp_path) == expected
    assert names(list_files(f"{tmp_path}/**/*", "x"), tmp_path) == expected
    plain = ["Ch3.txt", "ch02.txt", "ch1/b10", "ch1/b9", "ch10.txt", "ch2.txt"]
    assert names(list_files(tmp_path, "x", "plain"), tmp_path) == plain


@given(
    st.lists(
        st.text(st.sampled_from("aB1209._-\u0661\u00b2"), min_size=1, max_size=6).filter(lambda n: n[0] != "."),
        min_size=1,
    )
)
def test_any_names_have_one_natural_order(names):
    paths = [Path(name) for name in names]
    assert sorted(paths, key=natural_key) == sorted(reversed(paths), key=natural_key)


RUN = ("config.yaml", "train.log", "metrics.jsonl", "best.safetensors")


def test_runs_hidden_files_and_copies_of_an_editor_are_left_out_and_named(tmp_path):
    make(
        tmp_path, "a.txt", "a.txt~", "b.bak", "#a.txt#", ".a.txt.swp", "Thumbs.db", ".git/x", "sub/c.txt", "sub/c.orig"
    )
    make(tmp_path, *(f"runs/one/{name}" for name in RUN), "runs/begun/config.yaml", "runs/begun/train.log")
    make(tmp_path, "sweep/multirun.yaml", "sweep/0/config.yaml", "sub/config.yaml")
    kept = ["a.txt", "sub/c.txt", "sub/config.yaml"]
    listing = list_files(tmp_path, "x")
    assert names(listing, tmp_path) == kept
    (note,) = listing.format_left_out()
    for name in ("a.txt~", "b.bak", "#a.txt#", ".git", "c.orig", "one", "begun", "sweep"):
        assert name in note
    matched = list_files(f"{tmp_path}/**/*", "x")
    assert names(matched, tmp_path) == kept and "backup copies" in matched.format_left_out()[0]
    assert names(list_files(f"{tmp_path}/*.bak", "x"), tmp_path) == ["b.bak"]
    assert names(list_files(tmp_path / "b.bak", "x"), tmp_path) == ["b.bak"]
    old = names(list_files(tmp_path, "x", "plain"), tmp_path)
    assert "b.bak" in old and "runs/one/train.log" in old and old == sorted(old)


def test_a_run_made_in_the_folder_of_its_text_leaves_the_text_as_it_was(tmp_path):
    make(tmp_path, "a.txt")
    before = names(list_files(tmp_path, "x"), tmp_path)
    make(tmp_path, *RUN)
    listing = list_files(tmp_path, "x")
    assert names(listing, tmp_path) == before == ["a.txt"]
    (note,) = listing.format_left_out()
    assert "config.yaml" in note


def test_the_names_of_many_files_are_the_first_and_the_last(tmp_path):
    assert shorten_names([tmp_path / f"{k}.txt" for k in range(6)]) == "0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt"
    assert shorten_names([tmp_path / name for name in "abcdefg"]) == "a, b, c, ... (1 more), e, f, g"
    assert shorten_names([tmp_path / f"{k}.txt" for k in range(3000)]) == (
        "0.txt, 1.txt, 2.txt, ... (2,994 more), 2997.txt, 2998.txt, 2999.txt"
    )


def test_copies_among_the_files_are_found_by_their_bytes(tmp_path):
    make(tmp_path, "a", "b")
    (tmp_path / "c").write_text("a")
    files = [tmp_path / name for name in "abc"]
    assert find_copies(files, [1, 1, 1], "x") == [(files[0], files[2])]


def read_joined(folder, join):
    return "".join(Decoder("utf-8", "none").decode_files(list_files(folder, "x", join).files, "x", join == "lines"))


@given(st.lists(st.text(st.sampled_from("ab\n\r\u00e9\u4e2d"), max_size=5), min_size=1, max_size=12))
def test_each_file_begins_on_a_line_of_its_own(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("texts")
    for k, text in enumerate(texts):
        (folder / f"{k}.txt").write_bytes(text.encode())
    unified = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    filled = [text for text in unified if text]
    expected = "".join(text if text.endswith("\n") else text + "\n" for text in filled[:-1]) + "".join(filled[-1:])
    assert read_joined(folder, "lines") == expected
    assert read_joined(folder, "plain") == "".join(
        unified[k] for k in sorted(range(len(texts)), key=lambda k: f"{k}.txt")
    )
