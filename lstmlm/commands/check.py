"""`check`: is every backend of every cell the same function on this machine?"""

import argparse
import json

from lstmlm.commands import arguments
from lstmlm.config import CHOICES
from lstmlm.errors import EnvironmentFault


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=CHOICES["device"], default="auto", help="where to compute (default: auto)")
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    from lstmlm.check import check, table
    from lstmlm.prepare import pick_device

    rows = list(check(pick_device(options.device)))
    print(json.dumps(rows) if options.json else table(rows))
    if failed := [row for row in rows if not row["passed"]]:
        first = f"{failed[0]['cell']} on {failed[0]['backend']} in {failed[0]['dtype']}"
        raise EnvironmentFault(f"check: {len(failed)} of {len(rows)} rows differ by more than rounding: {first} first")
