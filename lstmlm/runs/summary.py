"""A run as its directory describes it: settings, state, figures. No torch is needed to read it.

Everything is read from config.yaml, metrics.jsonl and the header of a checkpoint; nothing is computed again. Losses are
in nats per character.
"""

import contextlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lstmlm.settings.hydra_yaml import from_yaml
from lstmlm.system.errors import BadInput
from lstmlm.training import metrics
from lstmlm.training.metrics import Row

LARGEST_HEADER = 4 << 20  # bytes
UNFINISHED = "unfinished"  # the run is running, or it was killed


@dataclass(frozen=True)
class Run:
    """One run; None is what is not known of it."""

    name: str  # its directory
    state: str = "finished"  # or another state of metrics.py, UNFINISHED, or "broken: " and the reason
    settings: dict[str, Any] = field(default_factory=dict)  # under their dotted names
    split: str | None = None
    split_hash: str | None = None  # of the validation text
    val: float | None = None  # of the best weights; of a run that did not come to its end, so far
    val_last: float | None = None
    val_ema: float | None = None
    steps: int | None = None
    params: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    curve: tuple[tuple[int, float], ...] = ()  # of step and validation loss
    seconds_at: dict[int, float] = field(default_factory=dict)  # of training until a step of the curve
    baseline: float | None = None  # of the best n-gram on the validation text of the evaluations

    @property
    def seed(self) -> int | None:
        return self.settings.get("seed")

    @property
    def is_finished(self) -> bool:
        """Does it have final figures?"""
        return self.state in ("finished", "out of time")

    @property
    def is_broken(self) -> bool:
        return self.state.startswith("broken")

    @property
    def judged_on(self) -> tuple[str | None, Any, Any]:
        """What must be equal for two losses to be compared: the text, and what counts as a character of it."""
        return self.split_hash, self.settings.get("data.vocab"), self.settings.get("data.min_freq")

    @property
    def judged_whole(self) -> bool:
        """Is its loss that of the whole validation text? Before the end, train.eval_chars may limit it to the start."""
        return self.is_finished or self.settings.get("train.eval_chars") is None


# Finding


def find_runs(given: Iterable[Path]) -> list[Path]:
    """The run directories among `given` and below them, each once. BadInput where there is none."""
    found: dict[Path, Path] = {}
    for path in given:
        if not path.is_dir():
            raise BadInput(f"compare: {path}: no such directory: give run directories, or folders of them")
        inside = [path] if is_run(path) else sorted({file.parent for file in path.rglob("config.yaml")})
        if not inside:
            raise BadInput(f"compare: {path}: there is no run in it: give run directories, or folders of them")
        found |= {directory.resolve(): directory for directory in inside}
    return list(found.values())


def is_run(directory: Path) -> bool:
    return any((directory / name).exists() for name in ("config.yaml", metrics.NAME, "last.safetensors"))


# Reading


def read_run(directory: Path) -> Run:
    """The run in a directory. If its files cannot be read, its state says why."""
    name = str(directory)
    try:
        settings = from_yaml((directory / "config.yaml").read_text(encoding="utf-8"))
        run = Run(name, settings=settings, params=count_params(directory))
        return add_figures(run, metrics.read_rows(directory / metrics.NAME))
    except OSError as error:
        return Run(name, f"broken: {Path(error.filename or name).name}: {error.strerror}")
    except (BadInput, ValueError) as error:
        return Run(name, f"broken: {error}")
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        return Run(name, f"broken: {metrics.NAME}: {type(error).__name__}: {error}")


def add_figures(run: Run, rows: list[Row]) -> Run:
    """The run with the figures of its metrics.jsonl. KeyError, TypeError or ValueError if a row lacks a figure."""
    evaluations, final, state = metrics.list_evaluations(rows), metrics.find_final(rows), metrics.find_state(rows)
    curve = tuple((int(row["step"]), float(row["loss/val"])) for row in evaluations)
    run = replace(run, curve=curve, state=UNFINISHED if state == "running" else state)
    baselines = [float(row["baseline/ngram"]) for row in evaluations if "baseline/ngram" in row]
    run = replace(run, seconds_at=list_seconds(evaluations), baseline=baselines[-1] if baselines else None)
    if final is not None:
        return replace(
            run,
            split=final["split"],
            split_hash=final["hashes"]["val"],
            val=float(final["loss/val_best"]),
            val_last=read_optional(final, "loss/val_last"),
            val_ema=read_optional(final, "loss/val_ema"),
            steps=int(final["step"]),
            seconds=read_optional(final, "seconds"),
            cpu_seconds=read_optional(final, "cpu_seconds"),
        )
    if evaluations:
        best = min((val for _, val in curve), key=lambda val: (math.isnan(val), val))
        newest = evaluations[-1]
        return replace(
            run, split=newest.get("split"), split_hash=newest.get("split_hash"), val=best, steps=curve[-1][0]
        )
    return run


def list_seconds(evaluations: Iterable[Row]) -> dict[int, float]:
    """The seconds of training until each evaluation that tells its speed, by step."""
    timed = [row for row in evaluations if row.get("speed/chars_per_s") and "progress/chars" in row]
    return {int(row["step"]): float(row["progress/chars"]) / float(row["speed/chars_per_s"]) for row in timed}


def read_optional(row: Row, key: str) -> float | None:
    """A figure that older files lack, or that is null."""
    value = row.get(key)
    return None if value is None else float(value)


def count_params(directory: Path) -> int | None:
    """How many weights a run's checkpoint has, by its header."""
    for path in (directory / f"{which}.safetensors" for which in ("last", "best", "previous")):
        if path.is_file():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                tensors = {key: tensor for key, tensor in read_header(path).items() if key != "__metadata__"}
                # The tensors of the optimizer and the loop have prefixes of their own
                weights = [key for key in tensors if key.startswith("layers.") or "." not in key]
                return sum(int(math.prod(tensors[key]["shape"])) for key in weights)
    return None


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file. ValueError if it has none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length) if length <= LARGEST_HEADER else "")
    if not isinstance(header, dict):
        raise ValueError(f"{path} has no header")
    return header
