"""Run the notebooks of this folder and store them with their outputs.

    python docs/notebooks/run.py [--out FOLDER] [NAME ...]

NAME is a notebook without its ending, as in `lstm`; without a name, all are run. The extras [notebook] and [plots] are
needed. With LSTMLM_NOTEBOOK_SHORT=1 they train for few epochs, as in the tests: write such results to another folder.
"""

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel. CellExecutionError where a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", record_timing=False, resources={"metadata": {"path": FOLDER}}
    )
    client.execute()
    # The version of the Python that ran it is of no interest, and would be a change each time
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


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
