"""The worked example to six decimals from every backend; a trained model's gates account for its states."""

import json
import re

import pytest
import torch
from helpers.command_line import SMALL_RUN
from helpers.forms import make_model
from helpers.pages import Elements

from lstmlm.evaluation.scoring import iterate_char_nats
from lstmlm.inspection import gate_trace
from lstmlm.inspection.trace_page import make_trace_page
from lstmlm.inspection.trace_story import tell_story
from lstmlm.layers.registry import BACKENDS
from lstmlm.text.vocab import Vocab

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


def test_a_trained_model_is_traced_in_table_json_picture_and_page(run_directory, command, tmp_path):
    picture, page = tmp_path / "gates.png", tmp_path / "gates.html"
    words = ["--text", "The tide\n", "--png", str(picture), "--html", str(page)]
    code, out, _ = command("trace", str(run_directory), *words)
    assert code == 0 and len(out.splitlines()) == 3 + 9 and "'\\n'" in out
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000
    told = json.loads(re.search(r'id="data" type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)[1])
    assert told["symbols"] == ["T", "h", "e", "\u2423", "t", "i", "d", "e", "\u21b5"]
    assert [unit["why"].split()[0] for unit in told["units"]] == ["follows"] * 4
    row = json.loads(command("trace", str(run_directory), "--text", "The", "--json")[1])
    assert row["text"] == "The" and len(row["C"]) == 3 and len(row["C"][0]) == 24


def test_characters_that_a_terminal_shows_are_shown_and_the_columns_stay(monkeypatch):
    trace = gate_trace.trace_gates(make_model("nn"), torch.tensor([1, 2, 3]), ["\u6f6e", "\x1b", "a"], 0)
    for columns, units in (("80", 2), ("200", 3), ("40", 1)):
        monkeypatch.setenv("COLUMNS", columns)
        *_, head, wide, control, plain = gate_trace.format_trace(trace).splitlines()
        assert "\u6f6e" in wide and "\x1b" not in control and head.count("|") == wide.count("|") == units
        assert len(head) <= int(columns) or units == 1
        assert wide.index("|") + 1 == control.index("|") == plain.index("|") == head.index("|")


def test_a_story_has_the_costs_and_the_likeliest_characters_of_the_model():
    vocab, model = Vocab.from_tokens(["<unk>", *"abcd\n "]), make_model("nn", torch.float32, num_layers=2)
    ids = torch.tensor([1, 2, 6, 3, 5])
    trace = gate_trace.trace_gates(model, ids, [vocab.decode([idx]) for idx in ids.tolist()], 1)
    story = tell_story(model, vocab, ids, trace, None)
    torch.testing.assert_close(torch.tensor(story.nats[1:]).double(), torch.cat(list(iterate_char_nats(model, ids))))
    assert story.nats[0] is None
    probs = model(ids[None])[0].softmax(1)
    for row, expected in zip(story.likeliest, probs, strict=True):
        assert [symbol for symbol, _ in row] == [
            vocab.decode([int(idx)]) for idx in expected.argsort(descending=True)[:3]
        ]
        assert [p for _, p in row] == pytest.approx(expected.sort(descending=True)[0][:3].tolist())
    assert [unit.why for unit in story.units] == ["among the most active"] * 4


def test_hostile_strings_stay_in_their_place_in_a_page_of_a_trace():
    vocab, model = Vocab.from_tokens(["</script><script>x</script>", *"<a/>&\u2028"]), make_model("nn", torch.float32)
    ids = torch.arange(7)
    trace = gate_trace.trace_gates(model, ids, [vocab.decode([idx]) for idx in ids.tolist()], 0)
    page = make_trace_page(tell_story(model, vocab, ids, trace, None), "</title><script>x</script>")
    harmless = make_trace_page(tell_story(model, Vocab.from_tokens(list("abcdefg")), ids, trace, None), "a")
    assert [tag for tag, _ in Elements(page).tags] == [tag for tag, _ in Elements(harmless).tags]


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
        "error: trace: --text, --png and --html follow a trained model: give RUN_OR_CHECKPOINT\n",
    )


def test_a_gru_has_no_such_gates():
    with pytest.raises(ValueError, match="this model's cell is gru"):
        gate_trace.trace_gates(make_model("nn", cell="gru"), torch.zeros(2, dtype=torch.int64), "ab", 0)
