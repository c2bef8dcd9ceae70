"""Runs beside each other: ranked, grouped by text and by seed. Losses are in nats per character. No torch."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from lstmlm.runs.summary import Run
from lstmlm.settings.config import matters


def rank_runs(runs: Iterable[Run]) -> list[Run]:
    """The lowest validation loss first; then losses of less than the whole text, no loss at all, and broken runs."""

    def place(run: Run) -> tuple[bool, bool, bool, float, str]:
        loss = math.nan if run.val is None else run.val
        known = not math.isnan(loss)
        return run.is_broken, not known, not run.judged_whole, loss if known else 0.0, run.name

    return sorted(runs, key=place)


def group_by_split(runs: list[Run]) -> list[list[Run]]:
    """Tables of the runs that can be compared. Those without a loss are in the first."""
    tables: dict[Any, list[Run]] = defaultdict(list)
    for run in runs:
        if run.val is not None:
            tables[run.judged_on].append(run)
    without = [run for run in runs if run.val is None]
    first, *others = tables.values() or [[]]
    return [first + without, *others]


def find_differing_settings(runs: Iterable[Run]) -> list[str]:
    """The settings in which the runs differ, by their dotted names."""
    values: dict[str, set[str]] = defaultdict(set)
    known = [run.settings for run in runs if run.settings]
    for key in {key for settings in known for key in settings} - {"resume"}:
        values[key] = {str(settings.get(key)) for settings in known}
    return [
        key for settings in known[:1] for key in [*settings, *sorted(values.keys() - settings)] if len(values[key]) > 1
    ]


def format_label(run: Run, keys: list[str]) -> str:
    """The run's values of these settings: lr=0.01 split=[0.8,0.1,0.1].

    Keys are shortened to their last part where that is unique.
    """
    parts = [key.rpartition(".")[2] for key in keys]
    short = {key: part if parts.count(part) == 1 else key for key, part in zip(keys, parts, strict=True)}
    return " ".join(f"{short[key]}={shorten(run.settings.get(key))}" for key in keys if run.settings)


def shorten(value: Any, width: int = 40) -> str:
    text = " ".join(str(value).replace(", ", ",").split())
    return text if len(text) <= width else text[: width - 3] + "..."


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in the seed alone, one for each seed; mean and standard deviation of their losses."""

    runs: list[Run]

    @property
    def losses(self) -> list[float]:
        return [run.val for run in self.runs if run.val is not None]

    @property
    def mean(self) -> float:
        return fmean(self.losses)

    @property
    def deviation(self) -> float:
        return stdev(self.losses) if len(self.runs) > 1 else math.nan


def group_seeds(runs: Iterable[Run]) -> list[Group]:
    """Groups of finished runs that differ in the seed alone. Of two runs with one seed the later in `runs` counts."""
    groups: dict[Any, dict[Any, Run]] = defaultdict(dict)
    for run in runs:
        if run.is_finished:
            groups[identify_settings(run)][run.seed] = run
    return [Group([group[seed] for seed in sorted(group)]) for group in groups.values()]


def identify_settings(run: Run) -> tuple[Any, str]:
    """What is equal for runs that differ in the seed alone."""
    own = {key: value for key, value in run.settings.items() if key != "seed" and matters(key)}
    return run.judged_on, json.dumps(own, sort_keys=True, default=str)
