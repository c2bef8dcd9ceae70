"""Run the notebooks of this folder and store them with their outputs.

    python docs/notebooks/run.py [--out FOLDER] [NAME ...]

NAME is a notebook without its ending, as in `lstm`; without a name, all are run. The extras [notebook] and [plots] are
needed. With LSTMLM_NOTEBOOK_SHORT=1 they train for few epochs, as in the tests: write such results to another folder.
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent


WIDGET = "application/vnd.jupyter.widget-view+json"


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel in an empty folder. CellExecutionError where a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", record_timing=False, resources=resources)
        client.execute()
    # The version of the Python that ran it is of no interest, and would be a change each time
    notebook.metadata["language_info"] = {"name": "python"}
    drop_bars(notebook)
    return notebook


def drop_bars(notebook: nbformat.NotebookNode) -> None:
    """Remove progress bars, which are of no use where nothing runs; the lines printed around them become one output."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        kept: list[nbformat.NotebookNode] = []
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                continue
            if kept and output.output_type == kept[-1].output_type == "stream" and output.name == kept[-1].name:
                kept[-1].text += output.text
            else:
                kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=FOLDER, help="the folder to write to; default: this one")
    options.add_argument("names", nargs="*", metavar="NAME")
    chosen = options.parse_args()
    for name in chosen.names or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        notebook = run_notebook(FOLDER / f"{name}.ipynb")
        nbformat.write(notebook, chosen.out / f"{name}.ipynb")
        print(f"{name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells")


if __name__ == "__main__":
    main()
