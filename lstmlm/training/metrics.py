"""metrics.jsonl: the only module that writes or reads it. Its format is described in docs/metrics.md.

A row is an evaluation, or the end of the run: the final figures, or the state in which the run ended without them.
No torch is imported here, so that runs can be compared without it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from lstmlm.system.durable import name_refusals, write_durably
from lstmlm.system.json_text import encode_json

Row = dict[str, Any]
# "running": no end is recorded, so the run is running or was killed. "out of time": it ended at train.max_seconds
RunState = Literal["running", "finished", "out of time", "stopped", "diverged"]

NAME = "metrics.jsonl"  # in the run directory


# Writing


def append_evaluation(path: Path, step: int, figures: Row) -> None:
    """Add the row of the evaluation after an optimizer step."""
    append_row(path, {"step": step, **figures})


def append_final(path: Path, state: RunState, figures: Row) -> None:
    """Add the last row of a run that came to its end."""
    append_row(path, {"final": True, "state": state, **figures})


def append_state(path: Path, state: RunState, step: int) -> None:
    """Add the last row of a run that ended at a step without final figures."""
    append_row(path, {"state": state, "step": step})


def append_row(path: Path, row: Row) -> None:
    """EnvironmentFault where the disk refuses; a part of the row may then be in the file."""
    with name_refusals(path), open(path, "a", encoding="utf-8") as file:
        file.write(encode_json(row) + "\n")


def drop_rows_after(path: Path, step: int) -> None:
    """Keep the evaluations up to a step: a run that is resumed there writes the later rows, and its end, again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = parse_row(line)
        if row is not None and is_evaluation(row) and row["step"] <= step:
            kept.append(line + "\n")
    write_durably(path, "".join(kept).encode())


# Reading


def read_rows(path: Path) -> list[Row]:
    """All rows, none where there is no file. A last line that a kill cut short, before its line end, is passed over.

    ValueError names another line that is not a JSON object.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        row = parse_row(line)
        if row is not None:
            rows.append(row)
        elif line.endswith("\n"):
            raise ValueError(f"{path.name}: line {number} is not a JSON object")
    return rows


def parse_row(line: str) -> Row | None:
    """The JSON object in a line; None if there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def is_evaluation(row: Row) -> bool:
    return "final" not in row and "state" not in row


def read_evaluations(path: Path) -> list[Row]:
    """The rows of the evaluations, in order."""
    return list_evaluations(read_rows(path))


def read_final(path: Path) -> Row | None:
    """The final figures; None if the run did not come to its end."""
    return find_final(read_rows(path))


def list_evaluations(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if is_evaluation(row)]


def find_final(rows: Iterable[Row]) -> Row | None:
    return next((row for row in rows if row.get("final")), None)


def find_state(rows: Iterable[Row]) -> RunState:
    """The state of the run with these rows. Files written before states were recorded have one with `final` alone."""
    state: RunState = "running"
    for row in rows:
        state = row.get("state", "finished" if row.get("final") else state)
    return state
