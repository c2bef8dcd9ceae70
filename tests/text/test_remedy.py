"""What a file that cannot be read is said to be, and what is said to help: each hint is tried here."""

import gzip
import re
import shlex
import subprocess

import pytest
from helpers.command_line import composed_config
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.runs.announcement import note_control_characters
from lstmlm.system.errors import BadInput
from lstmlm.text.corpus import Corpus, read_corpus
from lstmlm.text.kinds import MAGIC, name_kind
from lstmlm.text.likely_encoding import guess_encoding
from lstmlm.text.vocab import Vocab

WESTERN = "It\u2019s a \u201ccaf\u00e9\u201d \u2013 na\u00efve, d\u00e9j\u00e0 vu. The quick brown fox\u2026\n" * 30
GERMAN = "\u00dcber die sch\u00f6ne Stra\u00dfe gehen M\u00e4dchen und B\u00e4ume.\n" * 30
CHINESE = "\u5929\u5730\u7384\u9ec4\uff0c\u5b87\u5b99\u6d2a\u8352\u3002"
CHINESE = 30 * (CHINESE + "\u6211\u4eec\u4eca\u5929\u53bb\u5b66\u6821\u5b66\u4e60\u4e2d\u6587\u3002\n")
JAPANESE = "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002\n" * 30
KOREAN = "\ub098\ub77c\uc758 \ub9d0\uc774 \uc911\uad6d\uacfc \ub2ec\ub77c \ubb38\uc790\uc640 \uc11c\ub85c\n" * 30
RUSSIAN = "\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b\u0435"
RUSSIAN = 30 * (RUSSIAN + " \u0441\u0435\u043c\u044c\u0438 \u043f\u043e\u0445\u043e\u0436\u0438.\n")

# (text, its encoding, the guess)
TEXTS = [
    (WESTERN, "cp1252", "cp1252"),
    (GERMAN, "latin-1", "cp1252"),
    (WESTERN, "utf-16-le", "utf-16-le"),
    (GERMAN, "utf-16", "utf-16"),
    ("plain words\n" * 30, "utf-16-be", "utf-16-be"),
    (CHINESE, "gbk", "gb18030"),
    (CHINESE, "utf-16-le", "utf-16-le"),
    (JAPANESE, "shift_jis", "shift_jis"),
    (JAPANESE, "euc_jp", "euc_jp"),
    (KOREAN, "euc_kr", "euc_kr"),
    (RUSSIAN, "cp1251", "cp1251"),
    (RUSSIAN, "koi8-r", "koi8-r"),
]


def read(path, *words: str) -> Corpus:
    return read_corpus(composed_config("data=file", f"data.path={path}", *words).data)


def refusal(path, *words: str) -> str:
    with pytest.raises(BadInput) as refused:
        read(path, *words)
    return str(refused.value)


@pytest.mark.parametrize(("text", "encoding", "guess"), TEXTS, ids=[f"{k} {row[1]}" for k, row in enumerate(TEXTS)])
def test_the_encoding_that_is_guessed_reads_the_text_as_it_was_written(tmp_path, text, encoding, guess):
    path = tmp_path / "my.txt"
    path.write_bytes(text.encode(encoding))
    says = refusal(path)
    assert re.search(rf"my\.txt is not UTF-8.*: it is (almost certainly|probably) {guess}: name its", says), says
    (hint,) = re.findall(r"data\.encoding=[\w-]+", says)
    corpus = read(path, hint, "data.split=[0.5,0.5,0]")
    assert corpus.vocab.decode(corpus.ids["train"]) == text[: len(text) // 2]


def test_hints_for_a_second_text_and_for_a_command_are_not_those_for_data_path(tmp_path):
    (tmp_path / "a.txt").write_text(WESTERN, encoding="utf-8")
    (tmp_path / "v.txt").write_bytes(WESTERN.encode("cp1252"))
    says = refusal(tmp_path / "a.txt", f"data.val_path={tmp_path / 'v.txt'}")
    assert says.startswith("data.val_path: ") and "data.encoding" not in says
    convert = shlex.split(says.rpartition(": ")[2])
    done = subprocess.run(convert[:-2], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == WESTERN


def test_a_text_with_stray_bytes_is_told_from_one_in_another_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(WESTERN.encode() + b"\x92\xff" + WESTERN.encode())
    says = refusal(path)
    (command,) = re.findall(r"(iconv .*) > clean\.txt", says)
    assert "UTF-8 but for 2 stray bytes" in says
    assert subprocess.run(shlex.split(command), stdout=subprocess.PIPE).stdout.decode() == 2 * WESTERN


@pytest.mark.parametrize(("magic", "kind"), [(magic, kind) for magic, kind, _ in MAGIC], ids=[m[1] for m in MAGIC])
def test_a_file_that_is_no_text_is_named_even_if_all_of_it_is_ascii(tmp_path, magic, kind):
    (tmp_path / "my.txt").write_bytes(magic + b"91AY&SY and so on" if magic == b"BZh" else magic + b" and so on\n" * 20)
    assert f"my.txt is {kind}: " in refusal(tmp_path / "my.txt")
    read(tmp_path / "my.txt", "data.vocab=byte", "data.split=[0.5,0.5,0]")


def test_a_word_document_is_told_from_other_zips_and_a_gzip_file_needs_its_ending(tmp_path):
    assert name_kind(b"PK\x03\x04....word/document.xml")[0] == "a Word document"
    assert name_kind(b"BZh is how a text may begin") is None
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"the tide comes in. " * 20))
    assert "give it a name that ends in .gz" in refusal(tmp_path / "a.txt")
    (tmp_path / "a.txt").rename(tmp_path / "a.gz")
    assert read(tmp_path / "a.gz").num_chars == 380


def test_files_of_a_folder_that_are_no_text_are_named_together_with_the_pattern_that_leaves_them_out(tmp_path):
    for name, content in (
        ("a.txt", b"text\n"),
        ("s/b.txt", b"more text\n"),
        ("c.png", b"\x89PNG\r\n"),
        ("d.bin", b"\0\0"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content * 20)
    says = refusal(tmp_path)
    assert "2 of 4 files are no text in UTF-8: c.png (a PNG image), d.bin (with NUL bytes): leave them out with" in says
    (word,) = shlex.split(says.rpartition("leave them out with ")[2])
    assert [path.name for path in read(word.partition("=")[2]).origin.all_files] == ["a.txt", "b.txt"]
    (tmp_path / "e.txt").write_bytes(GERMAN.encode("latin-1"))
    assert "data.path: e.txt is not UTF-8: it is almost certainly cp1252" in refusal(f"{tmp_path}/**/*.txt")


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_have_a_guess_that_reads_them_or_none(data):
    guess = guess_encoding(data)
    if guess is not None:
        text = data.decode(guess.encoding, "replace")
        assert 0 < guess.score <= 1 and text.count("\ufffd") <= 1


def test_characters_that_a_wrong_guess_leaves_behind_are_warned_of():
    wrong = "It\u2019s \u201cnew\u201d".encode("cp1252").decode("latin-1")
    (note,) = note_control_characters(Vocab(wrong))
    assert "3 characters from U+0080 to U+009F" in note and "cp1252" in note
    assert not note_control_characters(Vocab("caf\u00e9\t\n\f"))
