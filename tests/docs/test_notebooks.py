"""The notebooks are stored as they ran, and run whole, shortened by LSTMLM_NOTEBOOK_SHORT=1."""

import os
import textwrap

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
    assert not [output for output in outputs if any("widget" in kind for kind in output.get("data", {}))]
    assert any(find_pictures(cells))
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 600_000


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
def test_a_chapter_shows_one_curve_and_the_books_closing_lines(name):
    cells = read_code_cells(FOLDER / f"{name}.ipynb")
    training = next(cell for cell in cells if "train_ch8(net, " in cell.source)
    assert len(find_pictures([training])[0]) == 1, "the curve is not one picture, updated in place"
    text = "".join(output.get("text", "") for output in training.outputs)
    assert text.startswith("perplexity ") and "\ntime traveller" in text and len(text.splitlines()) == 3


def test_the_notebooks_run_whole(tmp_path):
    environment = {"LSTMLM_NOTEBOOK_SHORT": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    done = shell("docs/notebooks/run.py", "--out", str(tmp_path), env={**os.environ, **environment}, timeout=600)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        stored, short = (read_code_cells(folder / f"{name}.ipynb") for folder in (FOLDER, tmp_path))
        assert [cell.source for cell in short] == [cell.source for cell in stored]
        assert [len(found) for found in find_pictures(short)] == [len(found) for found in find_pictures(stored)]


CELLS = {
    "imports": """
        import lstmlm
        from helpers.command_line import TINY
    """,
    "trains": "lstmlm.train(*TINY)",
    "trains in a coroutine": """
        async def train():
            return lstmlm.train(*TINY)

        print((await train()).state)
    """,
    "is interrupted": """
        import _thread, pathlib, threading, time

        def press_stop():
            while not pathlib.Path("stopped/last.safetensors").exists():  # training has begun
                time.sleep(0.05)
            _thread.interrupt_main()

        threading.Thread(target=press_stop).start()
        run = lstmlm.train(*TINY, max_steps=1_000_000, max_epochs=1000, directory="stopped")
        print(run.state, run.resume(max_steps=run.model.record["step"] + 2).state)
    """,
}


def test_a_cell_that_trains_shows_a_bar_and_lines_and_an_interrupt_gives_the_run_back(tmp_path, monkeypatch):
    pytest.importorskip("ipywidgets", reason="bars in notebooks need the extra [notebook]")
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(source)) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    _, trained, in_coroutine, stopped = (read_outputs(cell) for cell in notebook.cells)
    assert any("widget-view" in kind for kind in trained["data"])
    assert "step 4" in trained["text"] and "Run('runs/" in trained["data"]["text/plain"]
    assert in_coroutine["text"].endswith("finished\n")
    assert "stopped at step" in stopped["text"] and stopped["text"].endswith("stopped finished\n")


def read_outputs(cell):
    """The text that a cell printed, and what it displayed, by its type."""
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    assert not [output.text for output in streams if output.name == "stderr"]
    shown = {kind: value for output in cell.outputs for kind, value in output.get("data", {}).items()}
    return {"text": "".join(output.text for output in streams), "data": shown}
