"""`compare`: runs beside each other, the lowest validation loss first."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.commands import options
from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.table import format_table

if TYPE_CHECKING:
    from lstmlm.runs.comparison import Group
    from lstmlm.runs.summary import Run

HEAD = ["run", "nats", "bits", "perplexity", "last", "ema", "parameters", "seconds", "cpu s", "seed", "steps", "", ""]
NUMBERS = range(1, 11)  # the columns that are aligned at the right


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs",
        nargs="+",
        action=options.PathAction,
        metavar="RUN",
        help="run directories, or folders of them",
    )
    command.add_argument("--by-split", action="store_true", help="runs of several splits: a table for each")
    command.add_argument(
        "--png",
        action=options.PathAction,
        metavar="FILE",
        help="draw the validation losses against the steps",
    )
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.runs import comparison
    from lstmlm.runs.summary import find_runs, read_run
    from lstmlm.system.plotting import import_pyplot

    if args.png:
        import_pyplot()  # fails before the tables, not after them
    runs = comparison.rank_runs(map(read_run, find_runs(map(Path, args.runs))))
    tables = comparison.group_by_split(runs)
    if not args.by_split:
        comparison.refuse_to_mix(tables)
    if args.png and len(tables) > 1:
        raise BadInput("--png: draws runs of one split: give those alone")
    if args.json:
        rows = [describe_run(run) for table in tables for run in table]
        groups = [describe_group(group) for table in tables for group in comparison.group_seeds(table)]
        print(json.dumps({"runs": rows, "groups": groups}))
    else:
        print("\n\n".join(map(format_comparison, tables)))
    if args.png:
        comparison.draw_curves(runs, Path(args.png))


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


def format_comparison(runs: list["Run"]) -> str:
    """A table of runs that can be compared, a line for each group that differs only in the seed, and broken runs."""
    from lstmlm.runs.comparison import find_differing_settings, format_label, group_seeds

    whole = [run for run in runs if not run.is_broken]
    broken = [f"{run.name}: {run.state}" for run in runs if run.is_broken]
    keys = [key for key in find_differing_settings(whole) if key != "seed"]
    judged = next((run for run in whole if run.val is not None), None)
    lines = []
    if judged is not None:
        lines += [
            f"val of split {judged.split}, hash {(judged.split_hash or '?')[:12]}: best weights, lowest loss first"
        ]
    if whole:
        lines += format_table([HEAD, *(format_cells(run, format_label(run, keys)) for run in whole)], NUMBERS)
    for group in (group for group in group_seeds(whole) if len(group.runs) > 1):
        seeds = ", ".join(str(run.seed) for run in group.runs)
        spread = f"{group.mean:.4f} [{min(group.losses):.4f}, {max(group.losses):.4f}], sd {group.deviation:.4f}"
        lines += [f"mean over seeds {seeds}: {spread} nats  {format_label(group.runs[0], keys)}".rstrip()]
    return escape_controls("\n".join(lines + broken))


def format_cells(run: "Run", label: str) -> list[str]:
    """The cells of a run, under HEAD; `label` has the settings that distinguish it."""
    bits, perplexity = convert_units(run.val).values()
    state = {"finished": ""}.get(run.state, run.state)
    if not run.judged_whole:
        state += f", judged on {run.settings['train.eval_chars']:,} characters"
    return [
        run.name,
        *(format_number(value, digits) for value, digits in ((run.val, 4), (bits, 3), (perplexity, 3))),
        *(format_number(value, 4) for value in (run.val_last, run.val_ema)),
        *(format_number(value, 0) for value in (run.params, run.seconds, run.cpu_seconds)),
        *("" if value is None else str(value) for value in (run.seed, run.steps)),
        *(state, label),
    ]


def format_number(value: float | None, digits: int) -> str:
    """A number with so many decimals; empty for None."""
    return "" if value is None else f"{value:,.{digits}f}"
