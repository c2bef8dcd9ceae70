"""Runs beside each other: what their directories say of them, in order, if they were judged on the same text.

Everything is read from files, and nothing is computed again: no torch. Losses are nats per character.
"""

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lstmlm.settings.config import matters
from lstmlm.settings.hydra_yaml import from_yaml
from lstmlm.system.errors import BadInput
from lstmlm.system.plotting import import_pyplot

LARGEST_HEADER = 4 << 20  # bytes


@dataclass(frozen=True)
class Run:
    """One run; None is what is not known of it."""

    name: str  # its directory
    state: str = "finished"  # unfinished, diverged; broken: why
    settings: dict[str, Any] = field(default_factory=dict)  # under their dotted names
    split: str | None = None
    split_hash: str | None = None  # of the validation text
    val: float | None = None  # of the best weights; of an unfinished run, so far
    val_last: float | None = None
    val_ema: float | None = None
    steps: int | None = None
    params: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    curve: tuple[tuple[int, float], ...] = ()  # of step and validation loss

    @property
    def seed(self) -> int | None:
        return self.settings.get("seed")

    @property
    def judged_on(self) -> tuple:
        """What must be equal for two figures to be compared: the text, and what counts as a character of it."""
        return self.split_hash, self.settings.get("data.vocab"), self.settings.get("data.min_freq")

    @property
    def judged_whole(self) -> bool:
        """Not on the first train.eval_chars characters alone, as an unfinished run is that has this limit."""
        return self.state == "finished" or self.settings.get("train.eval_chars") is None


# Reading


def find_runs(given: Iterable[Path]) -> list[Path]:
    """The run directories among `given` and below them, each once. BadInput where there is none."""
    found = {}
    for path in given:
        if not path.is_dir():
            raise BadInput(f"compare: {path}: no such directory: give run directories, or folders of them")
        inside = [path] if is_run(path) else sorted({file.parent for file in path.rglob("config.yaml")})
        if not inside:
            raise BadInput(f"compare: {path}: there is no run in it: give run directories, or folders of them")
        found |= {directory.resolve(): directory for directory in inside}
    return list(found.values())


def is_run(directory: Path) -> bool:
    return any((directory / name).exists() for name in ("config.yaml", "metrics.jsonl", "last.safetensors"))


def read_run(directory: Path) -> Run:
    """What config.yaml, metrics.jsonl and a checkpoint's header say of a run; its state says if they cannot be read."""
    name = str(directory)
    try:
        settings = from_yaml((directory / "config.yaml").read_text(encoding="utf-8"))
        rows = read_rows(directory / "metrics.jsonl")
        return make_run(name, settings, rows, directory)
    except OSError as error:
        return Run(name, f"broken: {Path(error.filename or name).name}: {error.strerror}")
    except (BadInput, ValueError) as error:
        return Run(name, f"broken: {error}")
    except (KeyError, TypeError, AttributeError) as error:
        return Run(name, f"broken: metrics.jsonl: {type(error).__name__}: {error}")


def read_rows(metrics: Path) -> list[dict]:
    """The rows of a metrics.jsonl; a kill may have cut the last line short. ValueError names another that is broken."""
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    rows = []
    for k, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            if k + 1 < len(lines):
                raise ValueError(f"metrics.jsonl: line {k + 1} is not JSON") from None
    return rows


def make_run(name: str, settings: dict[str, Any], rows: list[dict], directory: Path) -> Run:
    final = next((row for row in rows if row.get("final")), None)
    evaluations = [row for row in rows if not row.get("final")]
    curve = tuple((int(row["step"]), float(row["loss/val"])) for row in evaluations)
    known = {"settings": settings, "params": count_params(directory), "curve": curve}
    if final is None:
        if not rows:
            return Run(name, find_state(directory), **known)
        known |= {key: evaluations[-1].get(key) for key in ("split", "split_hash")}
        best = min((val for _, val in curve), key=lambda val: (math.isnan(val), val))
        return Run(name, find_state(directory), val=best, steps=curve[-1][0], **known)
    optional = {key: final.get(f"loss/{key}") for key in ("val_last", "val_ema")}
    optional |= {key: final.get(key) for key in ("seconds", "cpu_seconds")}
    return Run(
        name,
        split=final["split"],
        split_hash=final["hashes"]["val"],
        val=float(final["loss/val_best"]),
        steps=int(final["step"]),
        **{key: None if value is None else float(value) for key, value in optional.items()},
        **known,
    )


def find_state(directory: Path) -> str:
    """Of a run without final figures, by the last line of its log."""
    log = directory / "train.log"
    end = log.read_text(encoding="utf-8", errors="replace")[-1000:] if log.exists() else ""
    return "diverged" if "ended: training diverged" in end.rstrip().rpartition("\n")[2] else "unfinished"


def count_params(directory: Path) -> int | None:
    """How many weights a run's checkpoint has, by its header."""
    for path in (directory / f"{which}.safetensors" for which in ("last", "best", "previous")):
        if path.is_file():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                shapes = {key: tensor["shape"] for key, tensor in read_header(path).items() if key != "__metadata__"}
                # What else is there, of the optimizer and the loop, stands under a prefix of its own
                return sum(math.prod(shapes[key]) for key in shapes if key.startswith("layers.") or "." not in key)
    return None


def read_header(path: Path) -> dict:
    """The header of a safetensors file. ValueError if it has none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length) if length <= LARGEST_HEADER else "")


# Comparing


def rank_runs(runs: Iterable[Run]) -> list[Run]:
    """The lowest validation loss first; then what was judged on less than the whole text, on nothing, or is broken."""

    def place(run: Run) -> tuple:
        known = run.val is not None and not math.isnan(run.val)
        return run.state.startswith("broken"), not known, not run.judged_whole, run.val if known else 0.0, run.name

    return sorted(runs, key=place)


def group_by_split(runs: list[Run]) -> list[list[Run]]:
    """The runs that can be compared, together. Those without a figure are with the first."""
    tables = defaultdict(list)
    for run in runs:
        if run.val is not None:
            tables[run.judged_on].append(run)
    without = [run for run in runs if run.val is None]
    first, *others = tables.values() or [[]]
    return [first + without, *others]


def refuse_to_mix(tables: list[list[Run]]) -> None:
    """BadInput that names two runs which were not judged on the same."""
    if len(tables) < 2:
        return
    one, other = tables[0][0], tables[1][0]
    if one.split_hash != other.split_hash:
        what = "judged on different texts"
        about = [f"split {run.split}, hash {(run.split_hash or '?')[:12]}" for run in (one, other)]
    else:
        what = "judged by different characters"
        about = [
            f"data.{key}={run.settings.get(f'data.{key}')}" for run in (one, other) for key in ("vocab", "min_freq")
        ]
        about = [", ".join(about[:2]), ", ".join(about[2:])]
    raise BadInput(
        f"compare: {one.name} ({about[0]}) and {other.name} ({about[1]}) were {what}: give runs of one of them, "
        f"or --by-split for a table of each"
    )


def find_differing_settings(runs: Iterable[Run]) -> list[str]:
    """The settings in which the runs differ, by their dotted names."""
    values = defaultdict(set)
    known = [run.settings for run in runs if run.settings]
    for key in {key for settings in known for key in settings} - {"resume"}:
        values[key] = {str(settings.get(key)) for settings in known}
    return [
        key for settings in known[:1] for key in [*settings, *sorted(values.keys() - settings)] if len(values[key]) > 1
    ]


def format_label(run: Run, keys: list[str]) -> str:
    """What a run has of its own: lr=0.01 split=[0.8,0.1,0.1]. A key goes by its last part, where that is enough."""
    parts = [key.rpartition(".")[2] for key in keys]
    short = {key: part if parts.count(part) == 1 else key for key, part in zip(keys, parts, strict=True)}
    return " ".join(f"{short[key]}={shorten(run.settings.get(key))}" for key in keys if run.settings)


def shorten(value: Any, width: int = 40) -> str:
    text = " ".join(str(value).replace(", ", ",").split())
    return text if len(text) <= width else text[: width - 3] + "..."


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in the seed alone, one of each; mean and standard deviation of their losses."""

    runs: list[Run]

    @property
    def losses(self) -> list[float]:
        return [run.val for run in self.runs]

    @property
    def mean(self) -> float:
        return fmean(self.losses)

    @property
    def deviation(self) -> float:
        return stdev(self.losses) if len(self.runs) > 1 else math.nan


def group_seeds(runs: Iterable[Run]) -> list[Group]:
    """The finished runs, together what differs in the seed alone. Of a seed that was run twice the later one counts."""
    groups = defaultdict(dict)
    for run in runs:
        if run.state == "finished":
            own = {key: value for key, value in run.settings.items() if key != "seed" and matters(key)}
            groups[run.judged_on, json.dumps(own, sort_keys=True, default=str)][run.seed] = run
    return [Group([group[seed] for seed in sorted(group)]) for group in groups.values()]


def draw_curves(runs: list[Run], path: Path) -> None:
    """The validation losses against the steps, to a PNG; the legend says in what the runs differ."""
    plt = import_pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    drawn = [run for run in runs if run.curve]
    keys, colors = find_differing_settings(drawn), plt.get_cmap("turbo")
    for k, run in enumerate(drawn):
        color = colors(0.05 + 0.9 * k / max(1, len(drawn) - 1))
        axes.plot(*zip(*run.curve, strict=True), color=color, marker=".", label=format_label(run, keys) or run.name)
    axes.set_xlabel("step")
    axes.set_ylabel("validation loss, nats per character")
    axes.grid(alpha=0.3)
    if drawn:
        axes.legend(fontsize=8, ncol=1 + len(drawn) // 16)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)
