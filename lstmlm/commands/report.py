"""`report`: write report.html, one page on a run: curves, samples, verdict, what to type next."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lstmlm.commands import options
from lstmlm.commands.display import print_note
from lstmlm.system.errors import BadInput, LstmlmError

if TYPE_CHECKING:
    from lstmlm.checkpoints.checkpoint import Checkpoint
    from lstmlm.evaluation.novelty import Novelty

RECORD = "config.yaml"  # the file that makes a directory a run


def add_options(command: argparse.ArgumentParser) -> None:
    what = "a run directory; left out: latest, the latest run"
    command.add_argument("directory", nargs="?", action=options.PathAction, metavar="RUN", help=what)


def run(args: argparse.Namespace) -> None:
    from lstmlm.runs.html_report import write_report
    from lstmlm.runs.summary import is_run

    directory = options.find_named_run(args.directory, RECORD)
    if not is_run(directory):
        raise BadInput(f"report: {directory} is not a run directory: give the directory of a run")
    loaded = load_best(directory)
    prompt = "" if loaded is None else loaded.prompt
    novelty = None if loaded is None else measure_novelty(loaded, find_last_sample(directory).removeprefix(prompt))
    print(f"{write_report(directory, prompt=prompt, novelty=novelty)}: open it in a browser")


def load_best(directory: Path) -> "Checkpoint | None":
    """The best weights of a run; None, and a note, if there are none that can be read."""
    from lstmlm.checkpoints.checkpoint import load_checkpoint
    from lstmlm.checkpoints.files import find_checkpoint

    try:
        return load_checkpoint(find_checkpoint(directory))
    except BadInput as error:
        print_note(str(error))
        return None


def find_last_sample(directory: Path) -> str:
    """The sample of the last evaluation, empty if there is none."""
    from lstmlm.training import metrics

    try:
        rows = metrics.read_evaluations(directory / metrics.NAME)
    except ValueError as error:
        raise BadInput(f"report: {directory}: {error}") from None
    return str(rows[-1].get("sample", "")) if rows else ""


def measure_novelty(loaded: "Checkpoint", sample: str) -> "Novelty | None":
    """What of the sample stands in the training text; None, and a note, if that cannot be read."""
    from lstmlm.evaluation.novelty import build_index, read_training_text

    try:
        return build_index(read_training_text(loaded)).measure(sample) if sample else None
    except LstmlmError as error:
        print_note(f"without what the sample copies from the training text: {error}")
        return None
