"""Labels of documents: symbols of the vocabulary that stand before documents, known by name."""

import json

import numpy as np
import pytest
import torch
from helpers.command_line import composed_config

from lstmlm.model.transfer import match_tokens
from lstmlm.system.errors import BadInput
from lstmlm.text.corpus import read_corpus
from lstmlm.text.document_batches import IGNORED, DocumentBatches
from lstmlm.text.labels import choose_begin
from lstmlm.text.vocab import BOUNDARY, UNK, Vocab, make_label_token, restore_vocab

ROWS = [
    (word + ending, kind) for word in ("ann", "bel", "car") for ending, kind in (("a", "f"), ("o", "m"), ("!", "x y"))
]
WORDS = ["data.documents=line", "data.column=name", "data.label=kind", "data.split=[0.5,0.3,0.2]"]


def read(tmp_path, rows=ROWS * 4, *words, name="a.csv"):
    lines = {
        "a.csv": ["name,kind", *(f"{text},{kind}" for text, kind in rows)],
        "a.jsonl": [json.dumps({"name": text, "kind": kind}) for text, kind in rows],
    }
    (tmp_path / name).write_text("\n".join(lines[name]) + "\n")
    return read_corpus(composed_config("data=file", f"data.path={tmp_path / name}", *WORDS, *words).data)


def make_vocab(*labels):
    return Vocab("annabelo", 0, [BOUNDARY, *map(make_label_token, labels)])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_every_document_begins_with_its_label_and_ends_with_the_boundary(tmp_path, name):
    corpus = read(tmp_path, name=name)
    assert list(corpus.vocab.labels) == ["f", "m", "x y"]
    marks = {mark: label for label, mark in corpus.vocab.labels.items()}
    found = []
    for which in ("train", "val", "test"):
        pieces = corpus.pieces(which)
        assert torch.equal(torch.cat(pieces), corpus.ids[which])
        for text in map(corpus.vocab.decode, pieces):
            assert text[-1] == BOUNDARY
            found.append((text[1:-1], marks[text[0]]))
    assert sorted(found) == sorted(ROWS * 4)
    assert any(note.startswith("labels in train: f ") for note in corpus.notes)


def test_a_label_is_read_and_never_predicted(tmp_path):
    corpus = read(tmp_path)
    vocab = corpus.vocab
    streams = DocumentBatches(corpus.ids["train"], 2, 7, vocab.boundary)
    labelled = DocumentBatches(corpus.ids["train"], 2, 7, vocab.boundary, num_labels=3, vocab_size=len(vocab))
    marks = set(vocab.encode("".join(vocab.labels.values())).tolist())
    targets = 0
    for (X, Y), (inputs, same) in zip(
        *(s.epoch(torch.Generator().manual_seed(0)) for s in (streams, labelled)), strict=True
    ):
        spans = streams.find_spans(X, Y)
        assert marks.isdisjoint(Y.flatten().tolist()) and set(X[:, 0].tolist()) <= marks
        assert torch.equal(labelled.remove_labels(inputs), X) and torch.equal(Y, same)
        assert all(map(np.array_equal, vars(labelled.find_spans(inputs, Y)).values(), vars(spans).values()))
        for lane, start, length in zip(spans.lanes, spans.starts, spans.lengths, strict=True):
            own = inputs[lane, start : start + length] // len(vocab)
            assert (own == X[lane, start] - 1).all()  # the first label has id 2 and number 1
        targets += streams.count_targets(Y)
    assert targets == sum(len(piece) - 1 for piece in corpus.pieces("train"))


def test_every_window_of_a_long_document_has_its_label(tmp_path):
    corpus = read(tmp_path, [("long" * 9, "f"), ("other" * 8, "m")] * 8)
    vocab = corpus.vocab
    streams = DocumentBatches(
        corpus.ids["train"], 2, 7, vocab.boundary, num_labels=len(vocab.labels), vocab_size=len(vocab)
    )
    letters = {1: set("long"), 2: set("other")}
    for X, Y in streams.epoch(torch.Generator().manual_seed(0)):
        for row, targets in zip(X, Y, strict=True):
            own, characters = row[targets != IGNORED] // len(vocab), row[targets != IGNORED] % len(vocab)
            if len(own):
                assert len(own.unique()) == 1
                marks = set(vocab.labels.values())
                assert set(vocab.decode(characters.tolist())) - marks <= letters[int(own[0])]


def test_the_state_is_carried_within_a_labelled_document_alone(tmp_path):
    corpus = read(tmp_path, [("long" * 9, "f"), ("other" * 8, "m")] * 8)
    streams = DocumentBatches(corpus.ids["train"], 2, 7, corpus.vocab.boundary)
    state = (torch.ones(1, 2, 1),)
    begins = [X[:, 0] for X, _ in streams.epoch(torch.Generator().manual_seed(0))]
    marks = corpus.vocab.encode("".join(corpus.vocab.labels.values())).tolist()
    for first in begins:
        carried = streams.carry(state, first[:, None])[0].flatten().tolist()
        assert carried == [float(idx not in (*marks, corpus.vocab.boundary)) for idx in first.tolist()]
    assert any(set(first.tolist()) & set(marks) for first in begins[1:])


def test_the_tokens_of_a_vocabulary_keep_the_names_of_labels():
    vocab = make_vocab("f", "m")
    again = restore_vocab(vocab.idx_to_token)
    assert again.labels == vocab.labels and list(again.labels) == ["f", "m"]
    text = vocab.labels["m"] + "anna" + BOUNDARY
    assert again.decode(again.encode(text)) == text and vocab.boundary not in again.encode(text)[:-1]
    assert vocab.count_bytes(text) == 6


def test_labels_of_two_vocabularies_are_matched_by_name():
    match = match_tokens(
        [UNK, BOUNDARY, *map(make_label_token, "fm"), "a"], [UNK, BOUNDARY, *map(make_label_token, "mx")]
    )
    assert match.pairs == [(0, 0), (1, 1), (3, 2)] and (match.taken_over, match.new, match.lost) == ([], [], ["a"])


def test_a_label_that_is_none_names_the_nearest():
    vocab = make_vocab("female", "male")
    assert choose_begin(vocab) == choose_begin(vocab, "female") != choose_begin(vocab, "male")
    with pytest.raises(BadInput, match=r"^--label: no such label: 'femal': did you mean 'female'\?$"):
        choose_begin(vocab, "femal", "--label")
    with pytest.raises(BadInput, match=r"^--label: no such label: '\\x1b': the labels are 'female', 'male'$"):
        choose_begin(vocab, "\x1b", "--label")
    with pytest.raises(BadInput, match=r"^--label: the model was trained without labels"):
        choose_begin(make_vocab(), "male", "--label")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("anna", "f"), ("bo", "")] * 9, r"data\.label: a row has nothing in 'kind': give every row a label"),
        ([(f"anna{k}", k) for k in range(60)], r"data\.label: 'kind' has 60 different values: at most 31 are labels"),
    ],
)
def test_a_column_that_has_no_labels_is_refused(tmp_path, rows, says):
    with pytest.raises(BadInput, match=says):
        read(tmp_path, rows)


def test_a_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"data\.label: \S*a\.csv has no column 'kin': its first line has 'name, kind'"):
        read(tmp_path, ROWS, "data.label=kin")
    (tmp_path / "b.jsonl").write_text('{"name": "anna"}\n')
    with pytest.raises(BadInput, match=r"data\.label: \S*b\.jsonl, line 1: has no 'kind'"):
        read(tmp_path, ROWS, f"data.path={tmp_path / 'b.jsonl'}")
    with pytest.raises(BadInput, match=r"data\.label: needs data\.column"):
        composed_config("data.documents=line", "data.label=kind")
