"""`compare`: runs beside each other, the lowest validation loss first."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.commands import options
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.system.errors import BadInput

if TYPE_CHECKING:
    from lstmlm.runs.comparison import Group
    from lstmlm.runs.summary import Run


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs",
        nargs="*",
        action=options.PathAction,
        metavar="RUN",
        help="run directories, or folders of them; left out: runs",
    )
    command.add_argument(
        "--png",
        action=options.PathAction,
        metavar="FILE",
        help="draw the validation losses; runs that differ in the seed alone as a mean and a band",
    )
    what = "--png: against optimizer steps, or seconds of training (default: steps)"
    command.add_argument("--x", choices=("steps", "seconds"), help=what)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.runs.comparison import group_by_split, group_seeds, rank_runs
    from lstmlm.runs.comparison_picture import draw_curves
    from lstmlm.runs.comparison_table import format_tables
    from lstmlm.runs.find import ROOT
    from lstmlm.runs.summary import find_runs, read_run
    from lstmlm.system.plotting import import_pyplot

    if args.x is not None and not args.png:
        raise BadInput("--x: has no effect without --png: add it, or leave this out")
    if args.png:
        import_pyplot()  # fails before the tables, not after them
    given = [find_folder(name) for name in args.runs] or [ROOT]
    tables = group_by_split(rank_runs(map(read_run, find_runs(given))))
    if args.json:
        rows = [describe_run(run) for table in tables for run in table]
        groups = [describe_group(group) for table in tables for group in group_seeds(table)]
        print(json.dumps({"runs": rows, "groups": groups}))
    else:
        print(format_tables(tables))
    if args.png:
        draw_curves(tables, Path(args.png), args.x or "steps")


def find_folder(name: str) -> Path:
    """A run directory or a folder of runs; `latest` is the latest run."""
    from lstmlm.runs.find import LATEST

    return options.find_named_run(name, "config.yaml") if name == LATEST else Path(name)


def describe_run(run: "Run") -> dict[str, Any]:
    """A run for --json; a figure that is unknown or not finite is null."""
    figures: dict[str, float | None] = {
        "nats_per_char": run.val,
        **convert_units(run.val),
        "nats_per_char_last": run.val_last,
    }
    figures |= {"nats_per_char_ema": run.val_ema, "num_params": run.params, "steps": run.steps}
    figures |= {"seconds": run.seconds, "cpu_seconds": run.cpu_seconds}
    finite = {key: value if value is not None and math.isfinite(value) else None for key, value in figures.items()}
    about = {"name": run.name, "state": run.state, "split_name": run.split, "split_hash": run.split_hash}
    return about | {"judged_whole": run.judged_whole, "seed": run.seed} | finite | {"settings": run.settings}


def convert_units(nats: float | None) -> dict[str, float | None]:
    """The bits and the perplexity of nats; None of None."""
    if nats is None:
        return {"bits_per_char": None, "perplexity": None}
    return {"bits_per_char": convert_to_bits(nats), "perplexity": compute_perplexity(nats)}


def describe_group(group: "Group") -> dict[str, Any]:
    """Runs that differ only in the seed, for --json."""
    return {
        "runs": [run.name for run in group.runs],
        "seeds": [run.seed for run in group.runs],
        "nats_per_char_mean": group.mean,
        "nats_per_char_min": min(group.losses),
        "nats_per_char_max": max(group.losses),
        "nats_per_char_sd": group.deviation if len(group.runs) > 1 else None,
        "split_hash": group.runs[0].split_hash,
    }
