"""A text of many documents: how it is cut, shuffled and divided."""

import gzip
import json
import string

import pytest
from helpers.command_line import composed_config

from lstmlm.system.errors import BadInput
from lstmlm.text.corpus import read_corpus
from lstmlm.text.vocab import BOUNDARY, UNK, Vocab

ALL = Vocab.from_tokens([UNK, BOUNDARY, *string.printable])  # so that nothing is unknown
NAMES = [f"{a}{b}{c}" for a in "abcde" for b in "fgh" for c in "xyz!"]


def read(tmp_path, name, content, *words, split="[0.8,0.1,0.1]"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_corpus(composed_config("data=file", f"data.path={path}", f"data.split={split}", *words).data, ALL)


def list_documents(corpus):
    return {
        which: [corpus.vocab.decode(piece[1:-1]) for piece in corpus.pieces(which)]
        for which in ("train", "val", "test")
    }


def all_documents(corpus):
    return sorted(document for part in list_documents(corpus).values() for document in part)


def test_lines_are_shuffled_and_every_one_is_in_one_part(tmp_path):
    corpus = read(tmp_path, "names.txt", "\n".join(NAMES) + "\n", "data.documents=line")
    parts = list_documents(corpus)
    assert sorted(NAMES) == all_documents(corpus)
    assert [len(part) for part in parts.values()] == [48, 6, 6]
    assert parts["train"] != sorted(parts["train"])
    assert corpus.split.name == "0.8/0.1/0.1 of documents"
    assert corpus.notes == ("60 documents: train 48, val 6, test 6",)


def test_the_parts_depend_on_the_text_alone(tmp_path):
    first = read(tmp_path, "names.txt", "\n".join(NAMES), "data.documents=line", "seed=1")
    second = read(tmp_path, "names.txt", "\n".join(NAMES), "data.documents=line", "seed=2")
    assert first.hashes == second.hashes


def test_ranges_of_a_split_count_documents(tmp_path):
    corpus = read(tmp_path, "names.txt", "\n".join(NAMES), "data.documents=line", split="[[0,40],[40,55],[55,60]]")
    assert [len(part) for part in list_documents(corpus).values()] == [40, 15, 5]
    with pytest.raises(BadInput, match=r"data\.split: test 55-99 does not lie in the text of 60 documents"):
        read(tmp_path, "names.txt", "\n".join(NAMES), "data.documents=line", split="[[0,40],[40,55],[55,99]]")


def test_no_document_is_cut_and_the_parts_share_no_character(tmp_path):
    corpus = read(tmp_path, "names.txt", "\n".join(NAMES), "data.documents=line")
    (train,), (val,), (test,) = corpus.split.pieces.values()
    assert train[0] == 0 and train[1] == val[0] and val[1] == test[0] and test[1] == corpus.num_chars
    for which in corpus.ids:
        text = corpus.vocab.decode(corpus.ids[which])
        assert text[0] == text[-1] == BOUNDARY and len(text) == corpus.split.size(which)


def test_blank_lines_separate_blocks(tmp_path):
    text = "\n\none\ntwo\n\n \t\n three\n\n\nfour\n\nfive\n"
    corpus = read(tmp_path, "a.txt", text, "data.documents=blank", split="[0.5,0.5,0]")
    assert all_documents(corpus) == sorted(["one\ntwo", " three", "four", "five"])


def test_files_are_documents(tmp_path):
    (tmp_path / "texts").mkdir()
    for k in range(4):
        (tmp_path / "texts" / f"{k}.txt").write_text(f"text {k}\n\nhas two parts\n")
    config = composed_config(
        "data=file", f"data.path={tmp_path / 'texts'}", "data.documents=file", "data.split=[0.5,0.5,0]"
    )
    assert all_documents(read_corpus(config.data, ALL)) == [f"text {k}\n\nhas two parts" for k in range(4)]


ROWS = [("tea, green", 5), ('she said "no"', 1), ("two\nlines", 3), ("plain", 2)]
CSV = 'text,stars\n"tea, green",5\n"she said ""no""",1\n"two\nlines",3\nplain,2\n'
TABLES = {
    "a.csv": CSV.encode(),
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.tsv": b'text\tstars\ntea, green\t5\n"she said ""no"""\t1\n"two\nlines"\t3\nplain\t2\n',
    "a.jsonl": "".join(json.dumps({"stars": n, "text": text}) + "\n" for text, n in ROWS).encode(),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_a_table_has_a_document_in_each_row(tmp_path, name):
    corpus = read(tmp_path, name, TABLES[name], "data.documents=line", "data.column=text", split="[0.5,0.5,0]")
    assert all_documents(corpus) == sorted(text for text, _ in ROWS)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", CSV, r"data\.column: .*a\.csv has no column 'words': its first line has 'text, stars'"),
        ("a.jsonl", '{"words": "a"}\n{"words": 3}\n', r"data\.column: .*a\.jsonl, line 2: has no text 'words'"),
        ("a.jsonl", '{"words": "a"}\n{"wor', r"data\.column: .*a\.jsonl, line 2: is not JSON"),
        ("a.txt", "one\ntwo\n", r"data\.column: .*a\.txt is no table"),
    ],
)
def test_a_table_without_the_column_is_refused(tmp_path, name, content, says):
    with pytest.raises(BadInput, match=says):
        read(tmp_path, name, content, "data.documents=line", "data.column=words", split="[0.5,0.5,0]")


def test_documents_in_two_parts_are_counted(tmp_path):
    corpus = read(tmp_path, "names.txt", "anna\nbob\n" * 30, "data.documents=line")
    assert "warning: 6 of the documents of val stand in train too" in corpus.notes


def test_a_part_may_have_files_of_its_own(tmp_path):
    (tmp_path / "other.txt").write_text("anna\nbob\n")
    val = f"data.val_path={tmp_path / 'other.txt'}"
    parts = list_documents(read(tmp_path, "names.txt", "carl\ndora\nanna\n", "data.documents=line", val))
    assert parts == {"train": ["carl", "dora", "anna"], "val": ["anna", "bob"], "test": []}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.documents=line", "data.vocab=byte"], "data.documents: needs characters"),
        (["data.documents=line", "data.sampling=random"], "data.sampling: has no effect with data.documents"),
        (["data.documents=line", "data.max_tokens=100"], "data.max_tokens: has no effect with data.documents"),
        (["data.documents=line", "train.micro_batches=2"], "train.micro_batches: has no effect with data.documents"),
        (["data.documents=file", "data.column=a"], "data.column: has no effect with data.documents=file"),
        (["data.column=a"], "data.column: needs documents"),
        (["data.documents=page"], "data.documents: no such option 'page': choose one of line, blank, file"),
    ],
)
def test_settings_that_do_not_go_with_documents_are_refused(words, says):
    with pytest.raises(BadInput, match=says):
        composed_config(*words)


def test_a_text_with_the_boundary_in_it_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"has the character U\+FDD0"):
        read(tmp_path, "a.txt", f"one\nt{BOUNDARY}wo\n", "data.documents=line")


def test_documents_of_one_character_alone_are_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("aaa\n" * 40)
    data = composed_config("data=file", f"data.path={path}", "data.documents=line").data
    with pytest.raises(BadInput, match="1 distinct character: there is nothing to learn"):
        read_corpus(data)
