"""A text of a run that is not there is one line that says how to give it."""

from dataclasses import asdict

import pytest
import torch
from helpers.command_line import composed_config

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation.held_out import count_shared, count_unknown, read_like_own_text
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import BOUNDARY, UNK, ByteVocab, Vocab, make_label_token

TINY = ["data=file", "data.path=a.txt", "backend=nn", "model.num_hiddens=4", "train.max_steps=1", "sample.length=5"]
TINY += ["data.batch_size=2", "data.num_steps=8", "train.baselines=false"]


@pytest.mark.parametrize(
    ("own", "split", "says"),
    [
        (["data.val_path=b.txt"], "val", "give its file with --file FILE, or any text with --file FILE"),
        (["data.val_path=b.txt"], "train", "give it with --file FILE --split train, or any text with --file FILE"),
        ([], "val", "give it with --file FILE --split val, or any text with --file FILE"),
    ],
)
def test_what_is_missing_is_given_as_a_whole_file_or_as_a_part_of_one(train, command, tmp_path, own, split, says):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("the tide comes in, the tide goes out. " * 20)
    divided = own or ["data.split=[0.8,0.1,0.1]"]
    assert train(*TINY, *divided, "hydra.run.dir=run")[0] == 0
    (tmp_path / "a.txt").unlink()
    code, out, err = command("evaluate", "run", "--split", split)
    assert (code, out, err.count("\n")) == (2, "", 1) and err.endswith(f"{says}\n")


def test_bytes_are_never_unknown_and_characters_are_counted_after_the_first():
    pieces = [torch.tensor([0, 0, 2, 0]), torch.tensor([1, 0])]
    assert count_unknown(pieces, ByteVocab()) == 0
    assert count_unknown(pieces, Vocab("abc")) == 3


def test_documents_without_labels_share_the_boundaries_between_them():
    pieces = [torch.tensor([1, 2, 1])] * 3
    assert count_shared(pieces, Vocab.from_tokens([UNK, BOUNDARY, "a"])) == 2
    assert count_shared(pieces[:0], Vocab.from_tokens([UNK, BOUNDARY, "a"])) == 0
    assert count_shared(pieces, Vocab.from_tokens([UNK, BOUNDARY, make_label_token("poem"), "a"])) == 0
    assert count_shared(pieces, Vocab("abc")) == 0


def test_a_text_that_is_piped_is_framed_as_the_documents_of_the_run_or_refused_where_they_have_labels(tmp_path):
    def read(*words):
        config = composed_config("data=file", f"data.path={tmp_path / 'a.csv'}", "data.documents=line", *words)
        loaded = Checkpoint({}, {"config": asdict(config)})
        return read_like_own_text(loaded, b"one\n\ntwo\n", "standard input", "FILE")

    assert read() == f"{BOUNDARY}one{BOUNDARY}two{BOUNDARY}"
    with pytest.raises(BadInput, match="FILE: standard input has no labels"):
        read("data.column=text", "data.label=source")
