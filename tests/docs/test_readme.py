"""The README is short, and its commands install what was tested."""

import re

import pytest
from helpers.command_line import ROOT
from helpers.markdown import find_blocks

README = ROOT / "README.md"


def test_the_readme_has_at_most_130_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130


def test_the_first_two_commands_use_the_tested_versions_as_ci_does():
    first, second = find_blocks(README, "bash")[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert "pip install -c constraints.txt -e . && python train.py backend=scratch" in first
    assert 'pip install -c constraints.txt -e ".[dev]" && python -m pytest -n 2' in second
    assert 'pip install -q -c constraints.txt -e ".[dev]"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_what_pip_downloads_is_said_before_the_first_command():
    before = README.read_text(encoding="utf-8").partition("```")[0]
    assert "CUDA" in before and "GB" in before and "CPU" in before


def test_the_three_ways_in_have_three_commands_each():
    ways = README.read_text(encoding="utf-8").split("\n## Three ways in\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", ways, re.MULTILINE | re.DOTALL)
    assert [len(block.splitlines()) for block in blocks] == [3, 3, 3]


@pytest.mark.parametrize("section", ["## What it writes", "## The numbers", "## Documentation"])
def test_the_readme_has_a_sample_numbers_and_links(section):
    assert section in README.read_text(encoding="utf-8").splitlines()
