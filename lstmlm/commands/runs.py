"""`runs`: list the runs here, the latest first."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.commands import options
from lstmlm.commands.compare import describe_run
from lstmlm.evaluation.units import compute_perplexity
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.table import format_table

if TYPE_CHECKING:
    from lstmlm.runs.summary import Run

HEAD = ["ago", "run", "text", "backend", "size", "steps", "val ppl", ""]
NUMBERS = (0, 4, 5, 6)  # the columns that are aligned at the right
AGES = {"d": 86400, "h": 3600, "min": 60}  # units, in seconds


def add_options(command: argparse.ArgumentParser) -> None:
    what = "the folder that has the runs (default: runs)"
    command.add_argument("folder", nargs="?", action=options.PathAction, metavar="FOLDER", help=what)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.runs.find import ROOT, find_time_written, list_run_directories
    from lstmlm.runs.summary import read_run

    folder = ROOT if args.folder is None else Path(args.folder)
    if args.folder is not None and not folder.is_dir():
        raise BadInput(f"runs: {folder}: no such folder: give the folder that has the runs")
    found = {directory: read_run(directory) for directory in list_run_directories(folder)}
    if args.json:
        print(json.dumps([describe_run(each) | {"written": find_time_written(at)} for at, each in found.items()]))
    elif not found:
        print(f"no runs in {folder}/: python train.py makes one")
    else:
        now = time.time()
        rows = [
            [format_age(now - find_time_written(at)), str(at.relative_to(folder)), *format_cells(each)]
            for at, each in found.items()
        ]
        print(escape_controls("\n".join(format_table([HEAD, *rows], NUMBERS))))


def format_cells(run: "Run") -> list[str]:
    """The cells of a run after its age and name; the state is told where it is not that of a finished run."""
    settings: dict[str, Any] = run.settings
    text = settings.get("data.name")
    if text == "file":
        text = Path(str(settings.get("data.path"))).name
    layers, width = settings.get("model.num_layers", 1), settings.get("model.num_hiddens", "")
    return [
        "" if text is None else str(text),
        str(settings.get("backend", "")),
        f"{layers}x{width}" if layers != 1 else str(width),
        "" if run.steps is None else str(run.steps),
        "" if run.val is None else f"{compute_perplexity(run.val):.3f}",
        "" if run.state == "finished" else run.state,
    ]


def format_age(seconds: float) -> str:
    """In the largest unit of which there is one: 3 h."""
    for unit, length in AGES.items():
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"
