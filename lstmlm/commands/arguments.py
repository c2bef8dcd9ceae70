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


def overrides(command: argparse.ArgumentParser) -> None:
    """The settings of train.py, anywhere among the options (cli.main); compose_settings reads them."""
    what = "settings as of train.py, among the options: data=file data.path=my.txt"
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=what)
