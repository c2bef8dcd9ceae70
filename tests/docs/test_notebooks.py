"""The notebooks are stored as they ran, and run whole, shortened by LSTMLM_NOTEBOOK_SHORT=1."""

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


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_as_it_ran_from_top_to_bottom(name):
    cells = read_code_cells(FOLDER / f"{name}.ipynb")
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    training = next(cell for cell in cells if "train_ch8(net, " in cell.source)
    assert len(find_pictures([training])[0]) == 1, "the curve is not one picture, updated in place"
    text = "".join(output.get("text", "") for output in training.outputs)
    assert text.startswith("perplexity ") and "\ntime traveller" in text and len(text.splitlines()) == 3
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 600_000


def test_the_notebooks_run_whole(tmp_path):
    environment = {"LSTMLM_NOTEBOOK_SHORT": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    done = shell("docs/notebooks/run.py", "--out", str(tmp_path), env={**os.environ, **environment}, timeout=600)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        stored, short = (read_code_cells(folder / f"{name}.ipynb") for folder in (FOLDER, tmp_path))
        assert [cell.source for cell in short] == [cell.source for cell in stored]
        assert [len(found) for found in find_pictures(short)] == [len(found) for found in find_pictures(stored)]
