"""A table of runs from their metrics.jsonl: python benchmarks/finals.py RUN_DIR ... [--json]

Runs that differ in the seed alone are one row: mean, and the range over the seeds in brackets.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import yaml
from machine import machine

from lstmlm.training import metrics

COLUMNS = {
    "ppl/book": "the book's line",
    "ppl/val_best": "val ppl, best weights",
    "ppl/test_best": "test ppl, best weights",
    "ppl/val_last": "val ppl, last weights",
    "ppl/test_last": "test ppl, last weights",
    "best_epoch": "best epoch",
    "seconds": "seconds",
    "chars_per_s": "chars/s",
}


def read_run(directory: Path) -> tuple[str, dict]:
    """(its settings but the seed, its final figures)."""
    settings = yaml.safe_load((directory / "config.yaml").read_text())
    final = metrics.read_final(directory / metrics.NAME)
    if final is None:
        raise SystemExit(f"error: {directory}: the run has not finished")
    settings.pop("seed")
    return json.dumps(settings), final


def row(settings: str, finals: list[dict]) -> dict:
    """One line of the table: mean, smallest, largest of each figure."""
    config = json.loads(settings)
    name = {"text": config["data"]["name"], "backend": config["backend"], "epochs": config["train"]["max_epochs"]}
    figures = {key: [final[key] for final in finals] for key in COLUMNS if key in finals[0]}
    return name | {"seeds": len(finals)} | {key: [mean(v), min(v), max(v)] for key, v in figures.items()}


def shown(figure: list[float]) -> str:
    digits = 0 if figure[0] >= 100 else 1 if figure[0] >= 20 else 3
    average, smallest, largest = (f"{value:,.{digits}f}" for value in figure)
    return average if smallest == largest else f"{average} [{smallest}, {largest}]"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("runs", nargs="+", type=Path)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    groups = defaultdict(list)
    for directory in chosen.runs:
        settings, final = read_run(directory)
        groups[settings].append(final)
    rows = [row(settings, finals) for settings, finals in groups.items()]
    if chosen.json:
        print(json.dumps(rows))
        return
    print(machine() + "\n")
    keys = [key for key in COLUMNS if any(key in one for one in rows)]
    print("| text | backend | epochs | seeds | " + " | ".join(COLUMNS[key] for key in keys) + " |")
    print("|" + "---|" * (4 + len(keys)))
    for one in rows:
        cells = [str(one[key]) for key in ("text", "backend", "epochs", "seeds")]
        print("| " + " | ".join(cells + [shown(one[key]) if key in one else "" for key in keys]) + " |")


if __name__ == "__main__":
    main()
