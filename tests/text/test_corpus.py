"""Texts are read whole or refused in one line, and become ids that are known by the hashes of their text."""

import functools
import hashlib
import itertools
import re
from dataclasses import replace

import pytest
import torch
from helpers.command_line import ROOT, composed_config, shared_text
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.settings.config import Data
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.text import corpus as corpus_module
from lstmlm.text import ids_on_disk
from lstmlm.text.batches import SequentialStreams
from lstmlm.text.corpus import Corpus, read_corpus
from lstmlm.text.preprocess import clean_d2l, clean_d2l_classic
from lstmlm.text.vocab import Vocab

TIDE_CLOCK = "40143c06f38bd5afd9957441b70e875945144ee3b54e2e4aee7080a5960528e3"
HALVES = "data.split=[0.5,0.25,0.25]"


@functools.cache
def data_settings(*overrides: str) -> Data:
    return composed_config("data=file", "data.path=x", *overrides).data


def read(path, *overrides: str) -> Corpus:
    return read_corpus(replace(data_settings(*overrides), path=str(path)))


def write(tmp_path, content: bytes, name: str = "text.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def whole(corpus: Corpus) -> str:
    return "".join(corpus.vocab.decode(corpus.ids[which]) for which in ("train", "val", "test"))


def test_the_embedded_text_is_the_one_on_the_card():
    corpus = read_corpus(composed_config().data)
    assert corpus.origin.sha256 == TIDE_CLOCK
    assert TIDE_CLOCK in (ROOT / "data" / "README.md").read_text()
    assert corpus.num_chars == 164_017 and len(corpus.vocab) == 63
    assert corpus.split.pieces == {"train": [(0, 147_615)], "val": [(147_615, 155_816)], "test": [(155_816, 164_017)]}
    assert corpus.num_bytes["val"] == corpus.split.size("val") == 8201 and corpus.count_unknown("val") == 0


def test_the_books_clean_ups_give_the_books_counts():
    text = shared_text("time_machine.txt").read_text()
    classic, newer = clean_d2l_classic(text), clean_d2l(text)
    assert len(classic) == 170_580 and len(newer) == 173_428
    assert "the time machine by h g wells" in classic and "andtwinkled" not in newer
    vocab = Vocab(classic)
    assert len(vocab) == 28
    assert vocab.idx_to_token == ["<unk>", *" etainoshrdlmucfwgypbvkxzjq"]


def test_line_ends_become_line_feeds_and_a_byte_order_mark_is_dropped_and_both_are_noted(tmp_path):
    corpus = read(write(tmp_path, "\ufeffAb\r\ncd\u2028e\rAb\r\ncd\u2028e\r".encode()), HALVES)
    assert whole(corpus) == "Ab\ncd\u2028e\nAb\ncd\u2028e\n"
    assert any("byte-order mark" in note for note in corpus.notes)
    assert any("4 line ends with a carriage return" in note for note in corpus.notes)


def test_letters_and_their_marks_are_joined_with_normalize_nfc_and_noted_without(tmp_path):
    path = write(tmp_path, ("e\u0301te\u0301 " * 20).encode())
    joined, apart = read(path, HALVES, "data.normalize=nfc"), read(path, HALVES)
    assert whole(joined) == "\u00e9t\u00e9 " * 20 and whole(apart) == "e\u0301te\u0301 " * 20
    assert any("data.normalize=nfc" in note for note in apart.notes) and not joined.notes


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"a" * 100, "1 distinct character"),
        ("na\u00efve".encode("latin-1"), r"not UTF-8 at byte 2 \(0xEF\).*data\.encoding=cp1252.*data\.vocab=byte"),
        ("text".encode("utf-16"), r"not UTF-8 at byte 0 \(0xFF\).*data\.encoding=utf-16"),
        ("caf\u00e9".encode()[:-1], r"not UTF-8 at byte 3 \(0xC3\)"),
        (b"ab\xed\xa0\x80", r"not UTF-8 at byte 2 \(0xED\)"),
        (b"a" * (1 << 20) + b"\xe2\x82", r"not UTF-8 at byte 1048576 \(0xE2\)"),
        (b"a" * ((1 << 20) - 1) + b"\xe2\x82a", r"not UTF-8 at byte 1048575 \(0xE2\)"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused_by_name_and_byte(tmp_path, content, complaint):
    path = write(tmp_path, content)
    with pytest.raises(BadInput, match=complaint) as refusal:
        read(path)
    assert "1 distinct" in complaint or str(path) in str(refusal.value)


def test_an_encoding_can_be_named(tmp_path):
    text = "na\u00efve caf\u00e9s, " * 9
    assert whole(read(write(tmp_path, text.encode("latin-1")), "data.encoding=latin-1", HALVES)) == text
    assert whole(read(write(tmp_path, text.encode("utf-16")), "data.encoding=utf-16", HALVES)) == text
    with pytest.raises(BadInput, match=r"data\.encoding: no encoding is called 'morse'"):
        read(write(tmp_path, text.encode()), "data.encoding=morse")


def test_a_text_of_which_the_clean_up_leaves_nothing_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"nothing left after data\.preprocess=d2l"):
        read(write(tmp_path, b"1234 5678"), "data.preprocess=d2l")


def test_rare_characters_become_unknown_in_the_training_part_too(tmp_path):
    corpus = read(write(tmp_path, b"abababab#ababab#$abababababababababab"), "data.min_freq=2", HALVES)
    assert corpus.vocab.idx_to_token == ["<unk>", "a", "b", "#"]
    assert corpus.count_unknown("train") == 1 and "<unk>" in corpus.vocab.decode(corpus.ids["train"])


@given(st.binary(min_size=40).filter(lambda data: len(set(data[:20])) > 1 and data.strip()))
def test_bytes_come_back_whatever_they_are(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("bytes"), data)
    corpus = read(path, "data.vocab=byte", HALVES)
    assert torch.cat(list(corpus.ids.values())).tolist() == list(data)
    assert len(corpus.vocab) == 256 and corpus.vocab.unk is None and corpus.bytes_per_char("val") == 1
    assert corpus.hashes["train"] == hashlib.sha256(data[: len(data) // 2]).hexdigest()


@given(
    st.text(min_size=40).filter(
        lambda text: len(set(text[:20])) > 1 and "\r" not in text and text[0] != "\ufeff" and "\0" not in text
    )
)
def test_texts_come_back_whatever_their_script(tmp_path_factory, text):
    if not text.strip():
        return
    corpus = read(write(tmp_path_factory.mktemp("text"), text.encode()), "data.split=[0.5,0.5,0]")
    assert corpus.num_chars == len(text) and corpus.num_bytes["train"] == len(text[: len(text) // 2].encode())
    assert corpus.vocab.decode(corpus.ids["train"]) == text[: len(text) // 2]
    assert corpus.count_unknown("val") == sum(char not in text[: len(text) // 2] for char in text[len(text) // 2 :])


# Texts of their own


def test_texts_of_their_own_are_the_parts(tmp_path):
    for name, content in (("a.txt", b"abc" * 10), ("v.txt", b"cab" * 5), ("t.txt", b"bca!" * 3)):
        write(tmp_path, content, name)
    own = [f"data.val_path={tmp_path / 'v.txt'}", f"data.test_path={tmp_path / 't.txt'}"]
    corpus = read(tmp_path / "a.txt", *own)
    assert corpus.split.name == "files" and whole(corpus) == "abc" * 10 + "cab" * 5 + "bca<unk>" * 3
    assert corpus.hashes["val"] == hashlib.sha256(b"cab" * 5).hexdigest()
    assert len(read(tmp_path / "a.txt", own[0]).ids["test"]) == 0
    with pytest.raises(BadInput, match=r"data\.test_path: needs a validation text"):
        read(tmp_path / "a.txt", own[1])


def test_the_penn_treebank_is_three_files_of_symbols_with_spaces_between(tmp_path):
    for part, text in (("train", "a e r _ b a n k\n" * 9), ("valid", "b e _\n" * 5), ("test", "k _ a\n" * 5)):
        write(tmp_path, text.encode(), f"ptb.char.{part}.txt")
    data = composed_config("data=ptb_char", f"data.path={tmp_path / 'ptb.char.train.txt'}").data
    assert whole(read_corpus(data)) == "aer bank\n" * 9 + "be \n" * 5 + "k a\n" * 5


def test_a_text_of_its_own_that_cannot_be_read_is_named_by_its_setting(tmp_path):
    write(tmp_path, b"abc" * 10, "a.txt")
    for content, complaint in ((b"caf\xe9", r"is not UTF-8 at byte 3 .*it ends inside a character"), (b"", "is empty")):
        own = write(tmp_path, content, "v.txt")
        with pytest.raises(BadInput, match=rf"^data\.val_path: {own} {complaint}"):
            read(tmp_path / "a.txt", f"data.val_path={own}")


# Large texts


@pytest.fixture
def everything_is_large(monkeypatch, tmp_path):
    monkeypatch.setattr(corpus_module, "LARGE", 0)
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ids"


CASES = {
    "letters": ("the tide comes in, the tide goes out.\r\n" * 30, []),
    "scripts": (
        "\u0441\u043b\u043e\u0432\u043e \u4e2d\u6587 \U0001f600 e\u0301 " * 20,
        ["data.normalize=nfc"],
    ),
    "a name": ("the tide comes in and goes out. " * 300, ["data.split=charrnn"]),
    "bytes": ("the tide comes \u00ef\r\n" * 20, ["data.vocab=byte"]),
    "rare ones": ("abcabcabc" * 20 + "d" + "abc" * 9, ["data.min_freq=2", "data.split=[[100,190],[0,100],[190,200]]"]),
    "code points to U+00FF": ("the tide \u00ff " * 30, []),
    "code points to U+0100": ("the tide \u0100 " * 30, []),
    "code points to U+01FF": ("the tide \u01ff " * 30, []),
    "many symbols": ("".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 2, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_large_text_is_the_same_from_its_file_as_from_memory(tmp_path, monkeypatch, everything_is_large, case):
    text, settings = CASES[case]
    path = write(tmp_path, text.encode())
    mapped = read(path, *settings)
    again = read(path, *settings)
    monkeypatch.setattr(corpus_module, "LARGE", 1 << 30)
    memory = read(path, *settings)
    assert len(list(everything_is_large.iterdir())) == 1
    for corpus in (mapped, again):
        assert corpus.ids["train"].dtype != torch.int64
        for field in ("num_chars", "split", "hashes", "num_bytes", "notes"):
            assert getattr(corpus, field) == getattr(memory, field), field
        assert corpus.vocab.idx_to_token == memory.vocab.idx_to_token
        assert all(torch.equal(corpus.ids[which].long(), ids) for which, ids in memory.ids.items())
    a, b = (SequentialStreams(corpus.ids["train"], 2, 5) for corpus in (mapped, memory))
    for ours, theirs in zip(a.epoch(torch.Generator()), b.epoch(torch.Generator()), strict=True):
        assert all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(ours, theirs, strict=True))


def test_another_content_or_setting_is_encoded_again_and_another_name_is_not(tmp_path, everything_is_large):
    text = b"the tide comes in, the tide goes out. " * 20
    read(write(tmp_path, text))
    read(write(tmp_path, text, "other name.txt"))
    assert len(list(everything_is_large.iterdir())) == 1
    read(write(tmp_path, text), HALVES)
    read(write(tmp_path, text.replace(b"out", b"OUT")))
    assert len(list(everything_is_large.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "no facts", "facts cut"])
def test_damaged_ids_are_written_again(tmp_path, everything_is_large, damage):
    path = write(tmp_path, b"the tide comes in, the tide goes out. " * 20)
    good = read(path).ids["train"].tolist()
    (folder,) = everything_is_large.iterdir()
    ids, facts = folder / "train.ids", folder / "facts.json"
    content = bytearray(ids.read_bytes())
    content[5] ^= 1
    if damage == "cut":
        ids.write_bytes(ids.read_bytes()[:-1])
    elif damage == "flipped":
        ids.write_bytes(content)
    elif damage == "no facts":
        facts.unlink()
    else:
        facts.write_text(facts.read_text()[:-1])
    assert read(path).ids["train"].tolist() == good


def test_ids_that_the_disk_does_not_keep_end_in_one_line(tmp_path, monkeypatch, everything_is_large):
    path, hashes = write(tmp_path, b"the tide comes in, the tide goes out. " * 20), itertools.count()
    monkeypatch.setattr(ids_on_disk, "hash_file", lambda path: str(next(hashes)))
    with pytest.raises(EnvironmentFault, match=r"^/.*: the files are not as they were written: check the disk"):
        read(path)


def test_a_large_text_that_cannot_be_used_leaves_no_folder(tmp_path, everything_is_large):
    with pytest.raises(BadInput, match="1 distinct character"):
        read(write(tmp_path, b"a" * 100))
    assert not list(everything_is_large.iterdir())


def test_a_run_trains_on_ids_in_files_as_on_ids_in_memory(train, command, tmp_path, monkeypatch, everything_is_large):
    write(tmp_path, b"the tide comes in, the tide goes out, and who knows why? " * 60)
    words = ["data=file", "data.path=text.txt", "model.num_hiddens=8", "train.max_steps=6", "model.dropout=0.1"]
    scores = []
    for large in (0, 1 << 30):
        monkeypatch.setattr(corpus_module, "LARGE", large)
        for sampling in ("sequential", "random"):
            run = f"{sampling}{large}"
            assert train(*words, f"data.sampling={sampling}", f"hydra.run.dir={run}")[0] == 0
            scores.append(command("evaluate", run, "--split", "test", "--json")[1])
    assert scores[:2] == scores[2:]
    assert len(list(everything_is_large.iterdir())) == 1  # and evaluate has not numbered it again


# Where the parts end


def own_parts(folder, cut, text=b"the tide comes in, the tide goes out. " * 30):
    """The same bytes, divided into training and validation text at `cut`."""
    write(folder, text[:cut], "a.txt")
    write(folder, text[cut:], "v.txt")
    return folder / "a.txt", f"data.val_path={folder / 'v.txt'}"


@pytest.mark.parametrize("vocab", ["char", "byte"])
def test_a_new_division_of_the_same_bytes_is_encoded_anew(tmp_path, everything_is_large, vocab):
    for cut in (900, 500):
        corpus = read(*own_parts(tmp_path, cut), f"data.vocab={vocab}")
        assert (len(corpus.ids["train"]), len(corpus.ids["val"])) == (cut, 1140 - cut)


def test_files_of_the_same_bytes_that_end_elsewhere_are_another_text(tmp_path, everything_is_large):
    for cut in (11, 51):
        write(tmp_path, (b"abc" * 50)[:cut], "1.txt")
        write(tmp_path, (b"abc" * 50)[cut:], "2.txt")
        assert whole(read(tmp_path, "data.split=[0.5,0.5,0]")).index("\n") == cut


def test_the_notes_name_the_files_of_today_and_not_those_that_were_encoded(tmp_path, everything_is_large):
    for name in ("x", "y"):
        folder = tmp_path / name
        folder.mkdir()
        for k in (1, 2):
            write(folder, b"the tide comes in \n" * 20, f"{name}{k}.txt")
        notes = read(folder).notes
        assert f"{name}1.txt, {name}2.txt" in notes[0] and notes[1] == f"warning: {name}2.txt is a copy of {name}1.txt"


TINY = ["data=file", "backend=nn", "model.num_hiddens=4", "train.max_steps=2", "train.eval_every=1", "sample.length=5"]
TINY += ["data.batch_size=2", "data.num_steps=5", "train.baselines=false", "data.vocab=byte", "hydra.run.dir=run"]


def test_another_division_of_the_same_bytes_is_not_the_text_of_the_run(train, command, tmp_path):
    """The vocabulary is that of all bytes, so that only the hashes of the parts tell."""
    path, own = own_parts(tmp_path, 900)
    assert train(*TINY, f"data.path={path}", own, "train.save_every=1")[0] == 0
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    own_parts(tmp_path, 500)
    says = r"divided otherwise: its train part has hash \w+, was \w+"
    for words in (["evaluate", "run"], ["evaluate", "run", "--split", "train"], ["generate", "run", "--novelty"]):
        code, _, err = command(*words)
        assert code == 2 and re.search(says, err), err
    code, _, err = train("resume=run", "train.max_steps=4")
    assert code == 2 and re.fullmatch(rf"error: resume: .*{says}.*\n", err), err
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    own_parts(tmp_path, 900)
    assert train("resume=run", "train.max_steps=4")[0] == 0


def test_the_vocabulary_of_a_mapped_text_is_that_of_its_training_part(tmp_path, monkeypatch):
    path = write(tmp_path, ("aé" * 20 + "bж" * 10 + "cü" * 10).encode())
    in_memory = read(path, HALVES)
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus_module, "LARGE", 0)
    mapped = read(path, HALVES)
    assert mapped.vocab.idx_to_token == in_memory.vocab.idx_to_token == ["<unk>", "a", "é"]
    for which, num_bytes in (("train", 60), ("val", 30), ("test", 30)):
        assert mapped.num_bytes[which] == in_memory.num_bytes[which] == num_bytes
        assert mapped.count_unknown(which) == in_memory.count_unknown(which) == (0 if which == "train" else 20)


def test_the_bar_of_a_large_text_moves_by_its_characters(tmp_path, monkeypatch, everything_is_large):
    moved: dict[str, list[int | None]] = {}

    class Counted(ids_on_disk.Bar):
        def __init__(self, *, desc, total=None, **options):
            super().__init__(desc=desc, total=total, **options)
            self.own = moved.setdefault(desc, [0, total])

        def update(self, count=1):
            self.own[0] += count

    monkeypatch.setattr(ids_on_disk, "Bar", Counted)
    read(write(tmp_path, b"the tide comes in, the tide goes out. " * 20))
    assert moved == {"reading the text": [760, None], "encoding it": [760, 760]}
