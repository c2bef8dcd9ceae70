"""The worked example to six decimals from every backend; a trained model's gates account for its states."""

import json
import re

import pytest
import torch
from helpers.command_line import SMALL_RUN
from helpers.forms import make_model

from lstmlm.inspection import gate_trace
from lstmlm.layers.registry import BACKENDS

TRUE_TABLE = """\
| word | F | I | C~ | O | C | H |
|---|---|---|---|---|---|---|
| Alice | 0.549834 | 0.622459 | 0.197375 | 0.401312 | 0.122858 | 0.049058 |
| is | 0.452596 | 0.651248 | -0.085076 | 0.551048 | 0.000199 | 0.000110 |
| happy | 0.475026 | 0.574456 | 0.099701 | 0.450169 | 0.057368 | 0.025797 |
| She | 0.646836 | 0.577593 | 0.609257 | 0.475664 | 0.389010 | 0.176237 |
| smiles | 0.458905 | 0.665548 | -0.047094 | 0.554192 | 0.147175 | 0.080980 |"""


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_the_worked_example_gives_the_true_table_on_every_backend(command, backend):
    code, out, err = command("trace", "--backend", backend)
    assert code == 0 and err == "" and TRUE_TABLE in out
    assert 'departs at "happy"' in out and "C = 0.356" in out


def test_every_line_of_the_account_is_arithmetic_that_holds(command):
    """The numbers filled into the equations, evaluated as they stand, give the result printed at their end."""
    names = {"sigmoid": lambda x: torch.tensor(x).sigmoid().item(), "tanh": lambda x: torch.tensor(x).tanh().item()}
    lines = [line for line in command("trace")[1].splitlines() if line.startswith("  ")]
    assert len(lines) == 5 * 6
    for line in lines:
        *sums, result = line.split(" = ")[1:]
        for numbers in sums:
            if re.search(r"\d", numbers):
                assert eval(numbers, {"__builtins__": {}}, names) == pytest.approx(float(result), abs=2e-6), line


def test_the_example_as_json_has_the_columns(command):
    row = json.loads(command("trace", "--json")[1])
    assert row["words"] == ["Alice", "is", "happy", "She", "smiles"]
    assert row["H"][4] == pytest.approx(0.080980, abs=5e-7) and len(row["C~"]) == 5


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_columns_of_a_model_account_for_its_states(backend, layer):
    model, ids = make_model(backend, num_layers=2).eval(), torch.randint(7, (9,))
    columns = gate_trace.trace_gates(model, ids, "x" * 9, layer).columns
    outputs, (_, C) = model.hidden_states(ids[None])
    torch.testing.assert_close(columns["H"], outputs[layer][:, 0])
    torch.testing.assert_close(columns["C"][-1], C[layer, 0])
    before = torch.cat([torch.zeros(1, 5).double(), columns["C"][:-1]])
    torch.testing.assert_close(columns["C"], columns["F"] * before + columns["I"] * columns["C~"])
    torch.testing.assert_close(columns["H"], columns["O"] * torch.tanh(columns["C"]))


def test_a_trained_model_is_traced_in_table_json_and_picture(run_directory, command, tmp_path):
    picture = tmp_path / "gates.png"
    code, out, _ = command("trace", str(run_directory), "--text", "The tide\n", "--png", str(picture))
    assert code == 0 and len(out.splitlines()) == 2 + 9 and "'\\n'" in out
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000
    row = json.loads(command("trace", str(run_directory), "--text", "The", "--json")[1])
    assert row["text"] == "The" and len(row["C"]) == 3 and len(row["C"][0]) == 24


@pytest.mark.parametrize(("alphabet", "read"), [("time ", "e time eee"), ("0123456789", "0")])
def test_without_a_text_it_reads_the_known_characters_of_the_default_text(train, command, tmp_path, alphabet, read):
    (tmp_path / "text.txt").write_text(alphabet * 400)
    words = ["data=file", f"data.path={tmp_path / 'text.txt'}", *SMALL_RUN, "train.max_steps=2"]
    assert train(*words, f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    code, out, _ = command("trace", str(tmp_path / "run"), "--json", "--png", str(tmp_path / "picture.of"))
    assert code == 0 and json.loads(out)["text"] == read
    assert (tmp_path / "picture.of").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--text", "Ωmega"], r"--text: character '\\u03a9' \(U\+03A9\) at position 0"),
        (["--text", ""], r"--text: is empty"),
        (["--layer", "1"], r"--layer: the model has layers 0 to 0, got 1"),
    ],
)
def test_a_mistake_of_trace_is_one_line(run_directory, command, words, says):
    code, out, err = command("trace", str(run_directory), *words)
    assert (code, out) == (2, "") and re.fullmatch(rf"error: {says}.*\n", err)


def test_options_without_a_model_are_refused(command):
    assert command("trace", "--text", "a")[::2] == (
        2,
        "error: trace: --text and --png follow a trained model: give RUN_OR_CHECKPOINT\n",
    )


def test_a_gru_has_no_such_gates():
    with pytest.raises(ValueError, match="this model's cell is gru"):
        gate_trace.trace_gates(make_model("nn", cell="gru"), torch.zeros(2, dtype=torch.int64), "ab", 0)
