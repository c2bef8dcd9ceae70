"""The notebooks run whole, shortened by LSTMLM_NOTEBOOK_SHORT=1."""

import os

import pytest
from helpers.command_line import ROOT, shell

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra [notebook]")
for needed in ("nbclient", "ipykernel", "matplotlib"):
    pytest.importorskip(needed, reason="running notebooks needs the extras [notebook] and [plots]")

FOLDER = ROOT / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read_code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def find_pictures(cells):
    return [[output for output in cell.outputs if "image/png" in output.get("data", {})] for cell in cells]


def test_the_notebooks_run_whole(tmp_path):
    environment = {"LSTMLM_NOTEBOOK_SHORT": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    done = shell("docs/notebooks/run.py", "--out", str(tmp_path), env={**os.environ, **environment}, timeout=600)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        stored, short = (read_code_cells(folder / f"{name}.ipynb") for folder in (FOLDER, tmp_path))
        assert [cell.source for cell in short] == [cell.source for cell in stored]
        assert any(find_pictures(short))
