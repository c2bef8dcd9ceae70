"""docs/d2l.md: its programs run; its tables name what there is."""

import re

import pytest
from helpers.command_line import ROOT

from lstmlm import d2l
from lstmlm.d2l import data

PAGE = (ROOT / "docs" / "d2l.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_page_runs(program, monkeypatch, capsys):
    monkeypatch.setattr(data, "find_text", lambda name: ROOT / "data" / "tide_clock.txt")  # no download in tests
    program, shortened = re.subn(r"\b(100|500)\b", "1", program)  # the number of epochs
    assert shortened == 1
    exec(compile(program.replace("256", "16"), "docs/d2l.md", "exec"), {})
    out = capsys.readouterr().out
    assert "time traveller" in out or out.startswith("it has")


def test_the_first_program_has_five_lines():
    assert len([line for line in PROGRAMS[0].splitlines() if line]) == 5


def test_the_tables_name_every_function_and_only_functions_that_there_are():
    chapters, classes = PAGE.split("| chapter | names |")[1].split("| d2l 1.0 | lstmlm.d2l |")
    named = set(re.findall(r"`(\w+)`", chapters.split("\n\n")[0]))
    others = {
        name.replace("rnn", cell) for name in ("get_rnn_params", "init_rnn_state", "rnn") for cell in ("gru", "lstm")
    }
    assert (named - {"gru", "lstm"}) | others == set(d2l.__all__)
    for row in classes.split("\n\n")[0].strip().splitlines()[1:]:
        right = row.split("|")[2]
        assert all(hasattr(d2l, name) for name in re.findall(r"d2l\.(\w+)", right)), row
