"""metrics.jsonl: rows are read as written, whole or cut short; the state is a field; docs/ names every key."""

import json
import math
import re

import pytest
from helpers.command_line import ROOT

from lstmlm.training import metrics


@pytest.fixture
def path(tmp_path):
    """The file of a run with evaluations at the steps 10, 20 and 30."""
    for step in (10, 20, 30):
        metrics.append_evaluation(tmp_path / metrics.NAME, step, {"loss/val": 1 / step, "sample": "a\n\u2028b"})
    return tmp_path / metrics.NAME


def test_what_is_written_is_read_again(path):
    metrics.append_final(path, "finished", {"step": 30, "loss/val_best": 0.5})
    assert [row["step"] for row in metrics.read_evaluations(path)] == [10, 20, 30]
    assert metrics.read_evaluations(path)[1] == {"step": 20, "loss/val": 0.05, "sample": "a\n\u2028b"}
    assert metrics.read_final(path) == {"final": True, "state": "finished", "step": 30, "loss/val_best": 0.5}


def test_every_line_is_json_where_a_figure_is_not_finite_and_float_reads_it(path):
    metrics.append_evaluation(path, 40, {"loss/val": math.nan, "ppl/val": math.inf})
    line = path.read_text().splitlines()[-1]
    row = json.loads(line, parse_constant=pytest.fail)
    assert math.isnan(float(row["loss/val"])) and float(row["ppl/val"]) == math.inf


def test_a_file_cut_anywhere_in_its_last_line_has_the_rows_before(path):
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [row["step"] for row in metrics.read_evaluations(path)] == [10, 20]


@pytest.mark.parametrize("line", ["nonsense", "[1]", "1", '{"step": 2', ""])
def test_another_line_that_is_no_object_is_named(path, line):
    whole = path.read_text()
    for rest in ("", "{}\n"):
        path.write_text(f"{whole}{line}\n{rest}")
        with pytest.raises(ValueError, match=r"metrics\.jsonl: line 4 is not a JSON object"):
            metrics.read_rows(path)


def test_a_run_that_wrote_nothing_is_running(tmp_path):
    path = tmp_path / metrics.NAME
    assert metrics.read_rows(path) == [] and metrics.read_final(path) is None
    assert metrics.find_state([]) == "running"
    metrics.drop_rows_after(path, 5)
    assert not path.exists()


@pytest.mark.parametrize("state", ["stopped", "diverged"])
def test_the_state_of_a_run_without_final_figures_is_that_of_its_last_row(path, state):
    metrics.append_state(path, state, 33)
    rows = metrics.read_rows(path)
    assert rows[-1] == {"state": state, "step": 33}
    assert metrics.find_state(rows) == state and metrics.find_final(rows) is None
    assert metrics.list_evaluations(rows) == rows[:-1]


def test_a_file_from_before_there_were_states_is_read(path):
    assert metrics.find_state(metrics.read_rows(path)) == "running"
    with open(path, "a") as file:
        file.write('{"final": true, "step": 30}\n')
    rows = metrics.read_rows(path)
    assert metrics.find_state(rows) == "finished" and metrics.find_final(rows) == rows[-1]
    assert len(metrics.list_evaluations(rows)) == 3


@pytest.mark.parametrize("end", ["final", "state", "cut short", "cut before its line end"])
def test_a_resumed_run_keeps_the_evaluations_up_to_its_step_and_no_end(path, end):
    if end == "final":
        metrics.append_final(path, "out of time", {"step": 30})
    elif end == "state":
        metrics.append_state(path, "stopped", 15)
    elif end == "cut before its line end":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2])[:-1])
    else:
        path.write_bytes(path.read_bytes() + b'{"step": 5, "lo')
    before = path.read_bytes().splitlines(keepends=True)
    metrics.drop_rows_after(path, 20)
    assert path.read_bytes() == b"".join(before[:2]).removesuffix(b"\n") + b"\n"


def test_the_documentation_names_every_key_of_a_run(run_directory):
    words = re.findall(r"`([a-z_/A-Z]+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
    shapes = {"S": r"(train|val|test)", "W": r"(best|last|ema)", "K": r"\d+", "G": r"[A-Z]\w*"}
    patterns = [re.sub(r"(?<=[_/r])[SWKG](?![a-z])", lambda match: shapes[match[0]], word) for word in words]
    keys = {key for row in metrics.read_rows(run_directory / metrics.NAME) for key in row}
    assert len(keys) > 30
    assert not [key for key in keys if not any(re.fullmatch(pattern, key) for pattern in patterns)]
