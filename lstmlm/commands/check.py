"""`check`: is every backend of every cell the same function on this machine?"""

import argparse
import json

from lstmlm.commands import options
from lstmlm.settings.config import SETTINGS
from lstmlm.system.errors import EnvironmentFault


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device", choices=SETTINGS["device"].choices, default="auto", help="where to compute (default: auto)"
    )
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.inspection.equality import check_backends, format_rows
    from lstmlm.runs.prepare import pick_device

    rows = list(check_backends(pick_device(args.device)))
    print(json.dumps(rows) if args.json else format_rows(rows))
    if failed := [row for row in rows if not row["passed"]]:
        first = f"{failed[0]['cell']} on {failed[0]['backend']} in {failed[0]['dtype']}"
        raise EnvironmentFault(f"check: {len(failed)} of {len(rows)} rows differ by more than rounding: {first} first")
