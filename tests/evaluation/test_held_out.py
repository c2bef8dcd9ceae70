"""A text of a run that is not there is one line that says how to give it."""

import pytest

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
