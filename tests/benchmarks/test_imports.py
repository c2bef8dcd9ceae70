"""The scripts in benchmarks/ import names that exist, also in the code that they start processes with."""

import ast
import importlib
from collections.abc import Iterator

import pytest
from helpers.command_line import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


def find_imports(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each import from the package, also of code in a string of several lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lstmlm":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom lstmlm" in node.value:
            yield from find_imports(node.value)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_what_exists(script):
    for module, name in find_imports(script.read_text(encoding="utf-8")):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")  # a module of a package


def test_imports_in_strings_are_found():
    assert ("lstmlm.text.corpus", "read_corpus") in set(find_imports((ROOT / "benchmarks/large.py").read_text()))
