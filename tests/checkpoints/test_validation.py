"""A hostile checkpoint runs nothing, writes nothing, takes no memory, and is refused in one line."""

import json
import sys

import pytest
from helpers.command_line import shell

from lstmlm.checkpoints.record import (
    LARGEST_FLOAT,
    LONGEST_TEXT,
    check_characters,
    check_record,
    check_texts,
    is_finite,
)
from lstmlm.checkpoints.safetensors_file import Refused, open_header
from lstmlm.checkpoints.validation import check_names, read_checked
from lstmlm.layers.registry import BACKENDS
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.shapes import compute_shapes
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import BOUNDARY, UNK, make_label_token

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs rlimits and pipes")


def opened(run_directory, tmp_path, count: int, timeout: int = 240) -> dict:
    good = run_directory / "best.safetensors"
    done = shell("-m", "helpers.hostile", str(good), str(tmp_path / "files"), str(count), timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@posix
def test_hostile_files_are_refused_and_do_nothing(run_directory, tmp_path):
    results = opened(run_directory, tmp_path, 500)
    crafted = {name: r for name, r in results.items() if not name.startswith("mutation")}
    assert len(crafted) >= 55 and len(results) - len(crafted) == 500
    for name, result in results.items():
        harmless = name.startswith("mutation") and result["end"] == "equal"  # two like bytes swapped, say
        assert result["end"].startswith("refused: ") or harmless, (name, result)
        assert result["did"] == [] and result["seconds"] < 2, (name, result)
    assert not list(tmp_path.rglob("RAN"))


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x80\x05"])
def test_a_zip_and_a_pickle_are_named(tmp_path, start):
    (tmp_path / "a.safetensors").write_bytes(start + bytes(100))
    with pytest.raises(BadInput, match="is a pickle or a zip, not a safetensors file: refused"):
        read_checked(tmp_path / "a.safetensors")


@posix
@pytest.mark.slow
def test_a_hundred_thousand_mutations_are_refused(run_directory, tmp_path):
    results = opened(run_directory, tmp_path, 100_000, timeout=3600)
    assert {r["end"].split(":")[0] for r in results.values()} <= {"refused", "equal"}
    assert not any(r["did"] for r in results.values())


@pytest.mark.parametrize("embedding_dim", [None, 3])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", BACKENDS)
def test_validation_expects_the_weights_that_the_model_has(cell, num_layers, embedding_dim):
    config = ModelConfig(7, 5, num_layers, cell=cell, embedding_dim=embedding_dim)
    shapes = {name: list(tensor.shape) for name, tensor in RNNModel(config).book_weights().items()}
    assert compute_shapes(config) == shapes


LABEL = make_label_token("poem")


@pytest.mark.parametrize(
    "vocab",
    [
        [UNK, "a", LABEL],  # without the boundary
        [UNK, BOUNDARY, "\ufdd1", "a"],  # the mark of a label as a character
        [UNK, BOUNDARY, *(make_label_token(f"label {k}") for k in range(32))],
        [UNK, BOUNDARY, make_label_token("x" * 5000)],
        [UNK, BOUNDARY, LABEL, "ab"],
        [BOUNDARY, LABEL, "a"],
    ],
)
def test_labels_that_no_run_has_are_refused(vocab):
    check_characters([UNK, BOUNDARY, LABEL, "a"])
    with pytest.raises(Refused, match="vocabulary"):
        check_characters(vocab)


@pytest.mark.parametrize(
    "vocab",
    [["a", "b", "c"], [BOUNDARY, "a", "b"], [BOUNDARY, "a", LABEL], [BOUNDARY, LABEL, make_label_token("too many")]],
)
def test_a_model_whose_vocabulary_lacks_its_labels_is_refused(run_directory, vocab):
    _, record = open_header((run_directory / "last.safetensors").read_bytes())
    record["model"] |= {"vocab_size": 4, "num_labels": 1}
    with pytest.raises(Refused, match="vocabulary: it does not have the labels of the model"):
        check_record(record | {"vocab": [UNK, *vocab]})
    check_record(record | {"vocab": [UNK, BOUNDARY, LABEL, "a"]})


def test_a_carried_state_of_another_width_is_refused(run_directory):
    tensors, record = open_header((run_directory / "last.safetensors").read_bytes())
    check_names(tensors, record)
    name = next(name for name in tensors if name.startswith("run.carried"))
    tensors[name]["shape"][2] += 1
    with pytest.raises(Refused, match="a tensor that lstmlm does not write: 'run"):
        check_names(tensors, record)


@pytest.mark.parametrize(("key", "other"), [("shape", [7, 6]), ("dtype", "I64"), ("dtype", "F64")])
def test_a_weight_of_another_shape_or_type_is_refused(key, other):
    config = ModelConfig(7, 5)
    record = {"model": config.to_record(), "config": {}}
    tensors = {name: {"shape": shape, "dtype": "F32"} for name, shape in compute_shapes(config).items()}
    check_names(tensors, record)
    tensors["W_hq"][key] = other
    with pytest.raises(Refused, match="weight W_hq is not there in the shape that its model implies"):
        check_names(tensors, record)
    del tensors["W_hq"]
    with pytest.raises(Refused, match="weight W_hq is not there"):
        check_names(tensors, record)


def test_numbers_and_texts_may_be_as_large_as_the_bound_and_no_larger():
    assert all(is_finite(value) for value in (0, LARGEST_FLOAT, -LARGEST_FLOAT))
    assert not any(is_finite(value) for value in (2 * LARGEST_FLOAT, -2 * LARGEST_FLOAT, float("nan"), True, "1"))
    check_texts({"path": "a" * LONGEST_TEXT})
    with pytest.raises(Refused, match="path has"):
        check_texts({"path": "a" * (LONGEST_TEXT + 1)})
