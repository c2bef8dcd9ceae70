"""Runs beside each other as a table for people. Losses are in nats per character."""

from collections.abc import Sequence
from pathlib import Path

from lstmlm.evaluation.units import compute_perplexity, convert_to_bits
from lstmlm.runs.comparison import find_differing_settings, format_label, group_seeds
from lstmlm.runs.summary import Run
from lstmlm.system.escape import escape_controls
from lstmlm.system.table import format_table

ALL = ("run", "nats", "bits", "perplexity", "last", "ema", "parameters", "seconds", "cpu s", "seed", "steps")
FEW = ("run", "perplexity", "nats", "seconds")  # at the end of a sweep
NUMBERS = frozenset(ALL) - {"run"}  # the columns that are aligned at the right


def format_tables(tables: Sequence[list[Run]], columns: Sequence[str] = ALL, folder: Path | None = None) -> str:
    """A table for each text, or for each kind of characters, that the runs were judged on.

    The names of the runs are told without `folder`.
    """
    several = len(tables) > 1
    return escape_controls("\n\n".join(format_table_of_runs(runs, columns, folder, several) for runs in tables))


def format_table_of_runs(runs: list[Run], columns: Sequence[str], folder: Path | None, several: bool) -> str:
    """A table of runs that can be compared, a line for each group that differs only in the seed, and broken runs."""
    whole = [run for run in runs if not run.is_broken]
    keys = [key for key in find_differing_settings(whole) if key != "seed" or "seed" not in columns]
    judged = next((run for run in whole if run.val is not None), None)
    lines = [] if judged is None else [format_title(judged, several)]
    if whole:
        rows = [format_cells(run, columns, format_label(run, keys), folder) for run in whole]
        right = [k for k, column in enumerate(columns) if column in NUMBERS]
        lines += format_table([[*columns, "", ""], *rows], right)
    keys = [key for key in keys if key != "seed"]
    for group in (group for group in group_seeds(whole) if len(group.runs) > 1):
        seeds = ", ".join(str(run.seed) for run in group.runs)
        spread = f"{group.mean:.4f} [{min(group.losses):.4f}, {max(group.losses):.4f}], sd {group.deviation:.4f}"
        lines += [f"mean over seeds {seeds}: {spread} nats  {format_label(group.runs[0], keys)}".rstrip()]
    return "\n".join(lines + [f"{run.name}: {run.state}" for run in runs if run.is_broken])


def format_title(run: Run, several: bool) -> str:
    """What the runs of a table were judged on; with `several` tables also what counts as a character there."""
    characters = (
        ""
        if not several
        else "".join(f", data.{key}={run.settings.get(f'data.{key}')}" for key in ("vocab", "min_freq"))
    )
    return f"val of split {run.split}, hash {(run.split_hash or '?')[:12]}{characters}: best weights, lowest loss first"


def format_cells(run: Run, columns: Sequence[str], label: str, folder: Path | None) -> list[str]:
    """The cells of a run in these columns, its state, and the `label` that distinguishes it."""
    state = {"finished": ""}.get(run.state, run.state)
    if not run.judged_whole:
        state += f", judged on {run.settings['train.eval_chars']:,} characters"
    name = run.name if folder is None else str(Path(run.name).relative_to(folder))
    cells = {
        "run": name,
        "nats": format_number(run.val, 4),
        "bits": format_number(None if run.val is None else convert_to_bits(run.val), 3),
        "perplexity": format_number(None if run.val is None else compute_perplexity(run.val), 3),
        "last": format_number(run.val_last, 4),
        "ema": format_number(run.val_ema, 4),
        "parameters": format_number(run.params, 0),
        "seconds": format_number(run.seconds, 0),
        "cpu s": format_number(run.cpu_seconds, 0),
        "seed": "" if run.seed is None else str(run.seed),
        "steps": "" if run.steps is None else str(run.steps),
    }
    return [*(cells[column] for column in columns), state, label]


def format_number(value: float | None, digits: int) -> str:
    """A number with so many decimals; empty for None."""
    return "" if value is None else f"{value:,.{digits}f}"
