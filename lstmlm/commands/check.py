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
    from lstmlm.inspection.equality import HEAD, check_backends, format_row
    from lstmlm.runs.prepare import pick_device

    device, rows = pick_device(args.device), []
    if not args.json:
        print(HEAD, flush=True)
    for row in check_backends(device):
        rows.append(row)
        if not args.json:
            print(format_row(row), flush=True)  # each takes a while, on a GPU above all
    if args.json:
        print(json.dumps(rows))
    if failed := [row for row in rows if not row["passed"]]:
        first = f"{failed[0]['cell']} on {failed[0]['backend']} in {failed[0]['dtype']}"
        raise EnvironmentFault(f"check: {len(failed)} of {len(rows)} rows differ by more than rounding: {first} first")
