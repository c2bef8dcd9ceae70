"""`lstmlm check` passes every backend that is equal and fails one that is not."""

import json

import pytest
import torch
from helpers.forms import FORMS

from lstmlm.inspection import equality
from lstmlm.layers.registry import BACKENDS
from lstmlm.layers.torch_nn import TorchLSTM

CPU = torch.device("cpu")


def test_every_form_passes_in_both_types(command):
    code, out, err = command("check", "--device", "cpu", "--json")
    rows = json.loads(out)
    assert code == 0 and err == "" and all(row["passed"] for row in rows)
    assert {(row["cell"], row["backend"], row["dtype"]) for row in rows} == {
        (*form, dtype) for form in FORMS for dtype in ("float64", "float32")
    }
    assert all(row["values"] is None for row in rows if row["backend"] == "scratch")
    assert all(equality.format_row(row).endswith("  pass") for row in rows)


class WrongGates(TorchLSTM):
    """Takes g for o: the mistake that shapes do not show."""

    gates = "ifoc"


class WrongSlightly(TorchLSTM):
    """Right but for one part in a million."""

    def compute(self, X, state):
        Y, state = super().compute(X, state)
        return Y * (1 + 1e-6), state


class WrongState(TorchLSTM):
    """Right for a text in one piece, wrong for one in pieces."""

    def compute(self, X, state):
        Y, (H, C) = super().compute(X, state)
        return Y, (H, C * 0.5)


@pytest.mark.parametrize(
    ("layer", "column"), [(WrongGates, "values"), (WrongSlightly, "values"), (WrongState, "chunked")]
)
def test_a_backend_that_differs_fails_in_the_column_where_it_differs(monkeypatch, layer, column):
    monkeypatch.setitem(BACKENDS["lstm"], "nn", layer)
    row = equality.check_form("lstm", "nn", torch.float64, CPU)
    assert not row["passed"] and row[column] > 1e-7
    assert equality.format_row(row).endswith("  FAIL")


def test_rows_are_printed_as_they_come(monkeypatch, command, capsys):
    """A check that is interrupted in the second row has printed the first."""
    row = {"cell": "lstm", "backend": "nn", "dtype": "float32", **dict.fromkeys(equality.COLUMNS, 1e-7), "passed": True}

    def check(device):
        yield row
        raise KeyboardInterrupt

    monkeypatch.setattr(equality, "check_backends", check)
    code, out, err = command("check", "--device", "cpu")
    assert (code, err) == (130, "stopped\n") and out.splitlines() == [equality.HEAD, equality.format_row(row)]
    assert len(equality.HEAD) <= 80 and len(equality.format_row(row)) <= 80


def test_a_difference_ends_the_command_with_exit_code_4(monkeypatch, command):
    monkeypatch.setitem(BACKENDS["lstm"], "nn", WrongGates)
    code, out, err = command("check", "--device", "cpu")
    assert code == 4 and "FAIL" in out
    assert err == "error: check: 2 of 18 rows differ by more than rounding: lstm on nn in float64 first\n"


def test_not_a_number_does_not_pass(monkeypatch):
    monkeypatch.setattr(equality, "measure_difference", lambda a, b: float("nan"))
    assert not equality.check_form("lstm", "nn", torch.float64, CPU)["passed"]
