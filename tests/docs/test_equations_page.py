"""docs/equations.md: well-formed formulas for GitHub and notebooks; code and numbers as in the program."""

import re

from helpers.command_line import ROOT
from helpers.scripts import load_script

from lstmlm.scratch import gru, lstm, rnn

PAGE = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```|`[^`\n]*`", "", PAGE, flags=re.DOTALL)  # without code
BLOCKS = re.findall(r"^\$\$\n(.*?)\n\$\$$", PROSE, flags=re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"\$([^$\n]+)\$", re.sub(r"^\$\$\n.*?\n\$\$$", "", PROSE, flags=re.DOTALL | re.MULTILINE))


def test_every_dollar_belongs_to_a_formula():
    assert len(BLOCKS) >= 8 and len(INLINE) >= 100
    assert PROSE.count("$") == 4 * len(BLOCKS) + 2 * len(INLINE)
    outside = re.sub(r"^\$\$\n.*?\n\$\$$", "", PROSE, flags=re.DOTALL | re.MULTILINE)
    for match in re.finditer(r"(.?)\$([^$\n]+)\$(.?)", outside):
        before, formula, after = match.groups()
        assert before in ("", " "), match.group()
        assert after in ("", " ", ",", ".", ":", ";", "?"), match.group()
        assert formula == formula.strip(), match.group()


def test_formulas_are_balanced():
    for formula in BLOCKS + INLINE:
        depth = 0
        for character in formula:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, formula
        assert depth == 0, formula
        assert formula.count("(") == formula.count(")") and formula.count("[") == formula.count("]"), formula
        assert re.findall(r"\\begin\{(\w+)\}", formula) == re.findall(r"\\end\{(\w+)\}", formula), formula


def test_formulas_survive_markdown_which_github_reads_first():
    for formula in BLOCKS + INLINE:
        without_line_ends = formula.replace("\\\\\n", "\n")  # \\ is kept at the end of a line only
        assert "\\\\" not in without_line_ends, formula
        assert not re.search(r"\\[^A-Za-z]", without_line_ends), f"{formula}: Markdown takes it as an escape"
        assert not re.search(r"(?<![A-Za-z0-9])_", formula), f"{formula}: an underscore there opens emphasis"
        assert "*" not in formula and "\\operatorname" not in formula, formula
        assert not any(re.match(r"\s*[-+=#>]", line) for line in formula.splitlines()[1:]), formula


def test_the_lines_of_code_in_the_tables_are_lines_of_the_files_they_link_to():
    tables = re.findall(r"\| equation \| line of \[`(\w+)\.py`\].*?\n((?:\|.*\n)+)", PAGE)
    assert [name for name, _ in tables] == ["rnn", "gru"]
    for name, rows in tables:
        source = (ROOT / "lstmlm" / "scratch" / f"{name}.py").read_text(encoding="utf-8")
        lines = re.findall(r"`([^`]+)` \|$", rows, flags=re.MULTILINE)
        assert len(lines) == {"rnn": 2, "gru": 5}[name]
        assert all(line in source for line in lines)


def test_the_numbers_of_the_worked_example_are_those_of_the_drawing():
    script = load_script("docs/draw_cell.py")
    values = script.compute_values(script.WORD)
    shown = {name: f"{value:.3f}" for name, value in values.items()}
    cell = r"C_t &= {F} \cdot {C_before} + {I} \cdot {C~} = {C} \\"
    hidden = r"H_t &= {O} \cdot \tanh({C}) = {H}"
    for line in (cell, hidden):
        for name, number in shown.items():
            line = line.replace("{" + name + "}", number)
        assert line in PAGE.splitlines()
    assert f'the word "{script.WORD}"' in PAGE.replace("\n", " ")


def test_the_counts_of_parameters_are_those_of_the_layers():
    V, H = 5, 3
    unit = V * H + H**2 + H
    output = H * V + V
    counts = {
        module: sum(p.numel() for p in params)
        for module, params in (
            ("rnn", rnn.get_rnn_params(V, H, "cpu")),
            ("gru", gru.get_gru_params(V, H, "cpu")),
            ("lstm", lstm.get_lstm_params(V, H, "cpu")),
        )
    }
    assert counts == {"rnn": unit + output, "gru": 3 * unit + output, "lstm": 4 * unit + output}
    for row in ("| RNN | $H$ | none | $DH + H^2 + H$ |", "| $4 (DH + H^2 + H)$ |", "| $3 (DH + H^2 + H)$; reset after"):
        assert row in PAGE


def test_the_links_of_the_page_lead_to_files():
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert {"microlstm.py", "lstm_cell.svg", "reach.png"} <= set(targets)
    assert all((ROOT / "docs" / target).exists() for target in targets)
