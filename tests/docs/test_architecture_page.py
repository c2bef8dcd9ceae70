"""docs/architecture.md names every folder in the order of the imports, and functions that are where it says."""

import ast
import re
from functools import cache

from helpers.command_line import ROOT
from helpers.markdown import find_inline_code, find_prose

PAGE = ROOT / "docs" / "architecture.md"
PLACE = re.compile(r"([\w/]+\.py): ([\w.]+)")  # file: function, class or Class.method


@cache
def list_definitions(file: str) -> set[str]:
    """The functions, classes and methods of a file of the package."""
    names = set()
    for node in ast.parse((ROOT / "lstmlm" / file).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


def list_rows() -> list[tuple[str, str]]:
    """(folder, file to start with) of the table of folders."""
    return re.findall(r"^\| `(\w+)/` \| .* \| `([\w/]+\.py)` \|$", find_prose(PAGE), re.MULTILINE)


def test_the_functions_are_where_the_page_says():
    places = [PLACE.fullmatch(code) for code in find_inline_code(PAGE)]
    named = [place.groups() for place in places if place]
    assert len(named) > 80
    assert [f"{file}: {name}" for file, name in named if name not in list_definitions(file)] == []


def test_the_table_has_a_line_for_every_folder():
    folders = {path.name for path in (ROOT / "lstmlm").iterdir() if (path / "__init__.py").exists()}
    rows = [folder for folder, _ in list_rows()]
    assert sorted(rows) == sorted(folders)
    assert [file for _, file in list_rows() if not (ROOT / "lstmlm" / file).exists()] == []


def test_the_table_is_in_the_order_of_the_imports():
    source = (ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8")
    order = re.findall(r'"(\w+)"', " ".join(re.findall(r"^FOLDERS \+?= (\[.*?\])", source, re.MULTILINE | re.DOTALL)))
    rows = [folder for folder, _ in list_rows()]
    assert rows == [folder for folder in order if folder in rows]
