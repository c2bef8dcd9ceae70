"""Runs beside each other as a picture: the validation losses, seeds as a mean and a band. No torch."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lstmlm.runs.comparison import find_differing_settings, format_label, identify_settings
from lstmlm.runs.summary import Run
from lstmlm.system.errors import BadInput
from lstmlm.system.plotting import find_fonts, import_pyplot, save_figure

AXES = {"steps": "optimizer steps", "seconds": "seconds of training"}
LEGEND_LINES = 16  # in a column


def draw_curves(tables: Sequence[list[Run]], path: Path, axis: str = "steps") -> None:
    """The validation losses against the optimizer steps or the seconds of training, to a PNG: a panel for each table.

    The legend has the settings that differ. Runs that differ in the seed alone are one line, their mean, in a band from
    the lowest to the highest. A dashed line is the best n-gram. BadInput where seconds are asked for and not known.
    """
    plt = import_pyplot()
    figure, panels = plt.subplots(len(tables), figsize=(8, 4.5 * len(tables)), layout="constrained", squeeze=False)
    for panel, runs in zip(panels[:, 0], tables, strict=True):
        draw_panel(panel, [run for run in runs if run.curve], axis, plt.get_cmap("turbo"))
        if len(tables) > 1 and runs:
            panel.set_title(f"split {runs[0].split}, hash {(runs[0].split_hash or '?')[:12]}", fontsize=9)
    save_figure(figure, path)
    plt.close(figure)


def draw_panel(panel: Any, runs: list[Run], axis: str, colors: Any) -> None:
    groups = group_curves(runs)
    keys = [key for key in find_differing_settings(runs) if key != "seed"]
    for k, group in enumerate(groups):
        color = colors(0.05 + 0.9 * k / max(1, len(groups) - 1))
        xs, means, lows, highs = combine_curves(group, axis)
        label = format_label(group[0], keys) or (group[0].name if len(groups) == 1 and len(group) == 1 else "")
        seeds = f"{len(group)} seeds" if len(group) > 1 else ""
        panel.plot(xs, means, color=color, marker=".", label=", ".join(filter(None, (label, seeds))) or group[0].name)
        if len(group) > 1:
            panel.fill_between(xs, lows, highs, color=color, alpha=0.2, linewidth=0)
    if baselines := [run.baseline for run in runs if run.baseline is not None]:
        panel.axhline(min(baselines), color="gray", linestyle="--", linewidth=1, label="best n-gram")
    panel.set_xlabel(AXES[axis])
    panel.set_ylabel("validation loss, nats per character")
    panel.grid(alpha=0.3)
    if runs:
        legend = panel.legend(fontsize=8, ncol=1 + len(groups) // LEGEND_LINES)
        for entry in legend.get_texts():  # a name may be in any script, and have $ in it
            entry.set(family=find_fonts(entry.get_text(), "DejaVu Sans"), parse_math=False)


def group_curves(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in the seed alone, together; unfinished ones too."""
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(identify_settings(run), []).append(run)
    return list(groups.values())


def combine_curves(group: Sequence[Run], axis: str) -> tuple[list[float], list[float], list[float], list[float]]:
    """Where the points lie, and the mean, lowest and highest loss there, at the steps that all runs have."""
    losses = [dict(run.curve) for run in group]
    steps = sorted(set.intersection(*map(set, losses)))
    if axis == "steps":
        xs = [float(step) for step in steps]
    else:
        if unknown := [run.name for run in group if any(step not in run.seconds_at for step in steps)]:
            raise BadInput(f"--x: {unknown[0]} does not say how long its steps took: draw against steps")
        xs = [fmean(run.seconds_at[step] for run in group) for step in steps]
    at = [[each[step] for each in losses] for step in steps]
    return xs, [fmean(values) for values in at], [min(values) for values in at], [max(values) for values in at]
