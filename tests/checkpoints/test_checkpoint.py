"""One file is the run: alone it generates and evaluates, on either backend; a file that is none is named."""

import json
import shutil

import pytest
import safetensors
import torch
from helpers.command_line import ROOT

from lstmlm.checkpoints import checkpoint
from lstmlm.layers.registry import BACKENDS
from lstmlm.system.errors import BadInput, EnvironmentFault


def test_the_file_holds_the_books_names_and_one_record(run_directory):
    with safetensors.safe_open(run_directory / "best.safetensors", "pt") as file:
        names, metadata = set(file.keys()), file.metadata()
        shapes = {name: tuple(file.get_tensor(name).shape) for name in names}
    assert set(metadata) == {"lstmlm"}
    assert shapes["layers.0.W_xi"] == (63, 24) and shapes["layers.0.W_hc"] == (24, 24)
    assert shapes["layers.0.b_f"] == (24,) and shapes["W_hq"] == (24, 63) and shapes["b_q"] == (63,)
    assert sum(not name.startswith(("optimizer.", "run.")) for name in names) == 14
    record = json.loads(metadata["lstmlm"])
    assert {"format", "vocab", "model", "config", "step", "metrics", "data", "versions", "sha256"} <= record.keys()
    assert record["vocab"][0] == "<unk>" and len(record["vocab"]) == 63
    assert record["data"]["split"] == "0.9/0.05/0.05" and len(record["data"]["hashes"]["val"]) == 64


def test_a_checkpoint_alone_in_an_empty_folder_writes_and_scores(run_directory, command, tmp_path, monkeypatch):
    alone = tmp_path / "alone.safetensors"
    shutil.copy(run_directory / "best.safetensors", alone)
    monkeypatch.chdir(tmp_path)
    words = ("generate", "--prompt", "The time keeper", "--length", "80", "--seed", "1", "--temperature", "0.8")
    code, text, err = command(*words, str(alone))
    assert code == 0 and err == "" and text.startswith("The time keeper") and len(text) == 95
    (tmp_path / "other.txt").write_text("The tide turned, and nobody said a word about it.")
    code, out, _ = command("evaluate", "alone.safetensors", "--file", "other.txt", "--json")
    assert code == 0 and json.loads(out)["num_chars"] == 48
    for backend in BACKENDS["lstm"]:
        assert command(*words, str(alone), "--backend", backend)[1] == text


def test_evaluate_gives_the_figures_of_the_run(run_directory, command):
    final = json.loads((run_directory / "metrics.jsonl").read_text().splitlines()[-1])
    for split in ("val", "test"):
        code, out, err = command("evaluate", str(run_directory), "--split", split, "--json")
        row = json.loads(out)
        assert code == 0 and err == "" and row["split"] == split and row["num_chars"] == 8200
        assert row["nats_per_char"] == pytest.approx(final[f"loss/{split}_best"], abs=1e-6)
        assert row["perplexity"] == pytest.approx(final[f"ppl/{split}_best"], rel=1e-6)
        assert row["bits_per_char"] == pytest.approx(final[f"bpc/{split}_best"], rel=1e-6)
    results = [
        json.loads(command("evaluate", str(run_directory), "--json", "--backend", backend)[1])
        for backend in BACKENDS["lstm"]
    ]
    assert len({row["split_hash"] for row in results}) == 1
    assert [row["nats_per_char"] for row in results] == pytest.approx(
        [results[0]["nats_per_char"]] * len(results), rel=1e-6
    )


def test_evaluate_on_the_text_moved_elsewhere_is_the_same_split(run_directory, command, tmp_path):
    shutil.copy(ROOT / "data" / "tide_clock.txt", tmp_path / "moved.txt")
    own = json.loads(command("evaluate", str(run_directory), "--json")[1])
    moved = json.loads(
        command("evaluate", str(run_directory), "--json", "--file", str(tmp_path / "moved.txt"), "--split", "val")[1]
    )
    assert moved == own


def test_characters_the_vocabulary_lacks_are_scored_and_counted(run_directory, command, tmp_path):
    (tmp_path / "odd.txt").write_text("na\u00efve caf\u00e9", encoding="utf-8")
    code, out, _ = command("evaluate", str(run_directory), "--file", str(tmp_path / "odd.txt"))
    assert code == 0 and "2 characters that the vocabulary lacks were scored as <unk>" in out


def test_generate_as_json_has_the_prompt_in_the_text(run_directory, command):
    code, out, _ = command("generate", str(run_directory), "--prompt", "I", "--length", "5", "--seed", "3", "--json")
    row = json.loads(out)
    assert code == 0 and row["text"].startswith("I") and len(row["text"]) == 6
    assert (row["prompt"], row["seed"], row["temperature"]) == ("I", 3, 0.6)


def test_loading_gives_back_what_was_saved(run_directory, tmp_path):
    loaded = checkpoint.load_checkpoint(run_directory / "best.safetensors")
    checkpoint.save_checkpoint(tmp_path / "again.safetensors", loaded.tensors, loaded.record)
    again = checkpoint.load_checkpoint(tmp_path / "again.safetensors")
    assert again.record == loaded.record and again.tensors.keys() == loaded.tensors.keys()
    assert all(torch.equal(again.tensors[name], loaded.tensors[name]) for name in loaded.tensors)


def test_weights_in_bfloat16_are_read_as_the_same_numbers_in_float32(run_directory, tmp_path, command):
    loaded = checkpoint.load_checkpoint(run_directory / "best.safetensors")
    rounded = {name: tensor.bfloat16() for name, tensor in loaded.weights.items()}
    checkpoint.save_checkpoint(tmp_path / "small.safetensors", rounded, loaded.record)
    again = checkpoint.load_checkpoint(tmp_path / "small.safetensors").tensors
    assert again.keys() == rounded.keys()
    assert all(torch.equal(again[name], rounded[name].float()) for name in rounded)
    assert command("generate", str(tmp_path / "small.safetensors"), "--length", "20")[0] == 0


def damaged(data: bytes) -> dict[str, bytes]:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    torch_zip, pickled = b"PK\x03\x04" + data[4:], b"\x80\x04" + data[2:]
    return {
        "empty": b"",
        "cut to a byte": data[:1],
        "cut in half": data[: len(data) // 2],
        "one byte short": data[:-1],
        "one bit flipped": bytes(flipped),
        "a hole": data[:-5000] + bytes(4096) + data[-904:],
        "a zip": torch_zip,
        "a pickle": pickled,
        "text": b"not a checkpoint at all",
        "someone else's": safetensors.torch.save({"weight": torch.zeros(2)}),
    }


@pytest.mark.parametrize("case", damaged(bytes(10_000)))
def test_a_damaged_file_or_one_of_another_program_is_one_line_with_its_name(run_directory, command, tmp_path, case):
    path = tmp_path / "x.safetensors"
    path.write_bytes(damaged((run_directory / "best.safetensors").read_bytes())[case])
    code, out, err = command("generate", str(path))
    assert code == 2 and out == "" and err.startswith(f"error: checkpoint: {path}") and err.count("\n") == 1


def test_a_later_format_is_named(run_directory, tmp_path, monkeypatch):
    loaded = checkpoint.load_checkpoint(run_directory / "best.safetensors")
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    checkpoint.save_checkpoint(tmp_path / "later.safetensors", loaded.tensors, loaded.record)
    with pytest.raises(BadInput, match="has format 3: this program reads 1 and 2"):
        checkpoint.load_checkpoint(tmp_path / "later.safetensors")


def test_a_file_of_format_1_still_scores_writes_and_goes_on(train, command):
    """fixtures/format1.safetensors: 2 units, 3 steps of seed 7, split [0.9,0.005,0.005], written by version 0.1.0."""
    old = str(ROOT / "tests" / "fixtures" / "format1.safetensors")
    row = json.loads(command("evaluate", old, "--split", "test", "--json")[1])
    assert row["nats_per_char"] == pytest.approx(4.119246747467544, abs=1e-6) and row["num_chars"] == 819
    assert row["split_hash"].startswith("6894861b9f5e")
    assert command("generate", old, "--length", "5", "--prompt", "The")[1].startswith("The")
    code, out, err = train(f"resume={old}", "train.max_steps=5", "hydra.run.dir=next")
    assert (code, err) == (0, "") and "resuming from step 3" in out


def test_last_becomes_previous_and_one_of_them_is_always_good(run_directory, tmp_path, monkeypatch):
    loaded = checkpoint.load_checkpoint(run_directory / "best.safetensors")
    for step in (1, 2, 3):
        checkpoint.save_last_checkpoint(tmp_path, loaded.tensors, loaded.record | {"step": step})
    steps = [
        checkpoint.load_checkpoint(tmp_path / name).record["step"]
        for name in ("last.safetensors", "previous.safetensors")
    ]
    assert steps == [3, 2]

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lstmlm.system.durable.os.fsync", full_disk)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        checkpoint.save_last_checkpoint(tmp_path, loaded.tensors, loaded.record | {"step": 4})
    assert checkpoint.load_checkpoint(tmp_path / "last.safetensors").record["step"] == 3
    assert not list(tmp_path.glob(".*.tmp"))
