"""Options that several commands share, spelled once."""

import argparse

from lstmlm.config import CHOICES


def checkpoint(command: argparse.ArgumentParser, **options) -> None:
    """The positional RUN_OR_CHECKPOINT."""
    what = "a run directory (its best weights) or a .safetensors file"
    command.add_argument("checkpoint", metavar="RUN_OR_CHECKPOINT", help=what, **options)


def backend(command: argparse.ArgumentParser) -> None:
    command.add_argument("--backend", choices=CHOICES["backend"], help="compute on this backend")


def as_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")
