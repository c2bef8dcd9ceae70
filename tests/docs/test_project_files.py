"""Facts that several project files state agree: versions, ranges of versions, the commands of the checks."""

import re
import sys

import pytest
import yaml
from helpers.command_line import ROOT
from packaging.requirements import Requirement

from lstmlm.system.version import __version__


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def list_pins() -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in read("constraints.txt").splitlines())
    return [Requirement(line) for line in lines if line]


def list_ranges() -> list[Requirement]:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads(read("pyproject.toml"))["project"]
    listed = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *project["optional-dependencies"]["plots"],
        *project["optional-dependencies"]["notebook"],
    ]
    return [Requirement(line) for line in listed if not line.startswith("lstmlm")]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.14"])
def test_the_tested_versions_are_one_for_each_package_and_in_the_accepted_range(python):
    pins = [pin for pin in list_pins() if pin.marker is None or pin.marker.evaluate({"python_version": python})]
    assert all(re.fullmatch(r"==[\d.]+", str(pin.specifier)) for pin in pins)
    versions = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(versions) == len(pins)
    for wanted in list_ranges():
        assert versions[wanted.name] in wanted.specifier, wanted


def test_the_version_is_written_once():
    assert 'dynamic = ["version"]' in read("pyproject.toml")
    named = [path for path in (ROOT / "lstmlm").rglob("*.py") if f'"{__version__}"' in path.read_text(encoding="utf-8")]
    assert [path.name for path in named] == ["version.py"]


def test_the_changelog_knows_the_version():
    newest = re.search(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)[1]
    assert re.sub(r"\.dev\d+$", "", __version__) in newest
    assert ("Unreleased" in newest) == ("dev" in __version__)


def test_ruff_has_one_version():
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    [pinned] = [str(pin.specifier).removeprefix("==") for pin in list_pins() if pin.name == "ruff"]
    assert [repo["rev"] for repo in hooks if "ruff" in repo["repo"]] == [f"v{pinned}"]


def test_the_workflow_runs_the_checks_of_ci_on_every_python_that_is_accepted():
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    assert ".ci/check" in [step.get("run") for step in jobs["tested-versions"]["steps"]]
    assert read(".ci/check").rstrip().endswith("\npython -m pytest -q -n 2")
    assert read(".ci/run").rstrip().endswith("\n.ci/check")
    accepted = re.search(r'requires-python = ">=3\.(\d+)"', read("pyproject.toml"))[1]
    pythons = jobs["tested-versions"]["strategy"]["matrix"]["python"]
    assert pythons[0] == f"3.{accepted}" and f"3.{sys.version_info.minor}" in pythons
    assert 'pip install -q -c constraints.txt -e ".[dev]"' in [
        step.get("run") for step in jobs["tested-versions"]["steps"]
    ]


def test_the_workflow_tries_the_oldest_and_the_newest_torch_that_is_accepted():
    matrix = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["oldest-and-newest-torch"]["strategy"][
        "matrix"
    ]
    oldest, below = re.search(r'"torch>=(\d+\.\d+),<(\d+\.\d+)"', read("pyproject.toml")).groups()
    major, minor = below.split(".")
    assert [row["torch"] for row in matrix["include"]] == [f"torch=={oldest}.*", f"torch=={major}.{int(minor) - 1}.*"]
