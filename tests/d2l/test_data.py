"""The book's data: its lines, its vocabulary, its batches; and any other text in the same form."""

import itertools
import re
import shutil
from collections import Counter

import pytest
import torch
from helpers.command_line import ROOT, shared_text

from lstmlm import d2l
from lstmlm.d2l import data
from lstmlm.d2l.data import keep_letters
from lstmlm.system.errors import BadInput, EnvironmentFault
from lstmlm.text.preprocess import PREPROCESS

WORDS = "The Time Traveller, for so it\nwill be convenient  (1895)\n\nto speak of him,\n"


@pytest.fixture
def other_text(monkeypatch, tmp_path):
    """A short text in the place of The Time Machine."""
    file = tmp_path / "words.txt"
    file.write_text(WORDS * 20)
    monkeypatch.setattr(data, "find_text", lambda name: file)
    return WORDS * 20


@pytest.fixture
def time_machine(monkeypatch, tmp_path):
    shutil.copy(shared_text("time_machine.txt"), tmp_path / "time_machine.txt")
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path))


# The Time Machine


def test_lines_are_cleaned_by_the_books_expression(other_text):
    lines = d2l.read_time_machine()
    assert lines == [re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in other_text.splitlines()]
    assert lines[:4] == ["the time traveller for so it", "will be convenient", "", "to speak of him"]


def test_tokens_are_the_words_or_the_characters_of_each_line():
    assert d2l.tokenize(["the time", ""]) == [["the", "time"], []]
    assert d2l.tokenize(["ab c", ""], "char") == [["a", "b", " ", "c"], []]
    with pytest.raises(BadInput, match=r"^token: no such choice 'letter': word or char$"):
        d2l.tokenize(["a"], "letter")


def test_the_corpus_is_the_lines_joined_and_its_vocabulary_is_of_the_whole(other_text):
    joined = "".join(d2l.read_time_machine())
    corpus, vocab = d2l.load_corpus_time_machine()
    assert vocab.idx_to_token == ["<unk>", *(char for char, _ in Counter(joined).most_common())]
    assert corpus == [vocab[char] for char in joined]
    assert d2l.load_corpus_time_machine(10)[0] == corpus[:10]
    assert d2l.load_corpus_time_machine(10)[1].idx_to_token == vocab.idx_to_token


def test_the_time_machine_has_the_figures_that_the_book_prints(time_machine):
    lines = d2l.read_time_machine()
    assert len(lines) == 3221
    assert lines[0] == "the time machine by h g wells"
    assert lines[10] == "twinkled and his usually pale face was flushed and animated the"
    corpus, vocab = d2l.load_corpus_time_machine()
    assert (len(corpus), len(vocab)) == (170580, 28)
    assert "".join(vocab.idx_to_token[1:]) == " etainoshrdlmucfwgypbvkxzjq"
    train_iter, vocab = d2l.load_data_time_machine(batch_size=32, num_steps=35)
    assert len(train_iter.corpus) == 10000 and len(list(train_iter)) == 8


def test_where_the_time_machine_cannot_be_fetched_the_error_names_the_other_function(monkeypatch):
    def fail(name):
        raise EnvironmentFault("data=time_machine: cannot download: no net")

    monkeypatch.setattr(data, "find_text", fail)
    with pytest.raises(EnvironmentFault, match=r"no net; or use load_data_text, which needs no download$"):
        d2l.load_data_time_machine(2, 5)


# Any text


def test_the_embedded_text_is_the_default_and_looks_like_the_books():
    train_iter, vocab = d2l.load_data_text(32, 35)
    assert set(vocab.idx_to_token) == {"<unk>", " ", *"abcdefghijklmnopqrstuvwxyz"}
    text = (ROOT / "data" / "tide_clock.txt").read_text()
    assert vocab.decode(train_iter.corpus) == re.sub("[^A-Za-z]+", " ", text).lower()[:10000]
    assert len(list(train_iter)) == 8
    corpus, of_all = d2l.load_corpus_text()
    assert train_iter.corpus == corpus[:10000] and of_all.idx_to_token == vocab.idx_to_token
    assert len(d2l.load_data_text(32, 35, max_tokens=-1)[0].corpus) == len(corpus)


def test_english_is_cleaned_as_in_d2l_1_0():
    assert keep_letters(WORDS) == PREPROCESS["d2l"](WORDS)


def test_letters_of_other_scripts_are_kept_with_their_marks():
    assert keep_letters("Größe: 12 m²!") == "größe m "
    assert keep_letters("想要有直升机。\n想要和你") == "想要有直升机 想要和你"
    assert keep_letters("हिन्दी, cafe\u0301") == "हिन्दी cafe\u0301"


def test_a_file_a_folder_or_a_pattern_is_a_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne,\r\ntwo. ")
    (tmp_path / "b.txt").write_text("Three")
    for path, expected in (
        (tmp_path / "a.txt", "one two "),
        (tmp_path, "one two three"),
        (f"{tmp_path}/[b]*", "three"),
    ):
        corpus, vocab = d2l.load_corpus_text(path)
        assert vocab.decode(corpus) == expected


def test_a_text_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "numbers").write_text("1 2 3")
    with pytest.raises(BadInput, match=r"^path: no such file: .*none$"):
        d2l.load_data_text(2, 5, tmp_path / "none")
    with pytest.raises(BadInput, match=r"^path: .*latin is not UTF-8 at byte 3: save it as UTF-8$"):
        d2l.load_data_text(2, 5, tmp_path / "latin")
    with pytest.raises(BadInput, match=r"^path: .*numbers holds no letters: give a text file$"):
        d2l.load_data_text(2, 5, tmp_path / "numbers")
    train_iter, _ = d2l.load_data_text(32, 35, max_tokens=1120)
    with pytest.raises(BadInput, match="32 rows of 35 characters need a text of at least 1121, and this one has 1120"):
        list(train_iter)


# The vocabulary


def test_the_vocabulary_takes_tokens_or_lists_of_tokens():
    vocab = d2l.Vocab([["the", "time"], ["the"], []], min_freq=0, reserved_tokens=["<pad>"])
    assert vocab.idx_to_token == ["<unk>", "<pad>", "the", "time"]
    assert vocab.token_freqs == [("the", 2), ("time", 1)] and vocab.unk == 0
    assert vocab[["time", "machine"]] == [3, 0] and vocab.to_tokens([2, 0]) == ["the", "<unk>"]
    assert d2l.Vocab(["a", "b", "a"], min_freq=2).idx_to_token == ["<unk>", "a"]
    assert len(d2l.Vocab()) == 1


# Batches


@pytest.mark.parametrize("iterate", [d2l.seq_data_iter_random, d2l.seq_data_iter_sequential])
def test_targets_are_the_inputs_one_later_in_three_batches_of_the_books_example(iterate):
    batches = list(iterate(list(range(35)), batch_size=2, num_steps=5))
    assert len(batches) == 3
    for X, Y in batches:
        assert X.shape == (2, 5) and X.dtype == torch.int64 and torch.equal(Y, X + 1)
        assert torch.equal(X, X[:, :1] + torch.arange(5))


def test_sequential_rows_continue_and_random_windows_are_apart():
    batches = list(d2l.seq_data_iter_sequential(list(range(350)), 2, 5))
    for (_, Y), (X, _) in itertools.pairwise(batches):
        assert torch.equal(X[:, 0], Y[:, -1])
    starts = torch.cat([X[:, 0] for X, _ in d2l.seq_data_iter_random(list(range(350)), 2, 5)])
    assert len(set(starts.tolist())) == len(starts) and len(set((starts % 5).tolist())) == 1
    assert not torch.equal(starts, starts.sort().values)


@pytest.mark.parametrize("use_random_iter", [False, True])
def test_every_pass_over_a_loader_is_another_epoch_and_a_seed_fixes_it(use_random_iter):
    train_iter, _ = d2l.load_data_text(4, 35, use_random_iter=use_random_iter)
    torch.manual_seed(3)
    first, second = (torch.cat([X for X, _ in train_iter]) for _ in range(2))
    assert first.shape == second.shape and not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(torch.cat([X for X, _ in train_iter]), first)
    continues = [torch.equal(X[:, 0], Y[:, -1]) for (_, Y), (X, _) in itertools.pairwise(train_iter)]
    assert all(continues) != use_random_iter
