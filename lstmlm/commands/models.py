"""`models`: list the models that ship with the program, or print the card of one."""

import argparse
import json
from typing import Any

from lstmlm.commands import options
from lstmlm.commands.display import print_note
from lstmlm.evaluation.units import compute_perplexity
from lstmlm.system.command_parser import suggest
from lstmlm.system.errors import BadInput
from lstmlm.system.table import format_table

HEAD = ["name", "text", "size", "parameters", "MB", "val ppl"]
NUMBERS = (3, 4, 5)  # the columns that are aligned at the right


def add_options(command: argparse.ArgumentParser) -> None:
    what = "print the card of this model: how it was trained, its figures, its licence"
    command.add_argument("name", nargs="?", metavar="NAME", help=what)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.checkpoints.shipped import find_card, list_shipped

    shipped = list_shipped()
    if args.name is not None and args.name not in shipped:
        there = suggest(args.name, shipped) or f": there are {', '.join(shipped)}"
        raise BadInput(f"models: no model of this name ships: {args.name}{there}")
    names = list(shipped) if args.name is None else [args.name]
    if args.json:
        print(json.dumps([describe_model(name) for name in names]))
    elif args.name is not None:
        print(find_card(args.name).read_text(encoding="utf-8"), end="")
    elif not shipped:
        print("no models here: this installation lacks data/models")
    else:
        rows = [format_cells(describe_model(name)) for name in names]
        print("\n".join(format_table([HEAD, *rows], NUMBERS)))
        print_note(f"lstmlm generate {names[0]} writes text, lstmlm models {names[0]} prints its card")


def describe_model(name: str) -> dict[str, Any]:
    """The entries of --json for a model."""
    from lstmlm.checkpoints.arrays import load_trained_model
    from lstmlm.checkpoints.shipped import find_card, list_shipped
    from lstmlm.model.shapes import count_params

    path = list_shipped()[name]
    trained = load_trained_model(path)
    config, record = trained.config, trained.record
    return {
        "name": name,
        "text": record["data"]["name"],
        "cell": config.cell,
        "num_layers": config.num_layers,
        "num_hiddens": config.num_hiddens,
        "vocab_size": config.vocab_size,
        "parameters": count_params(config),
        "bytes": path.stat().st_size,
        "loss/val": record["metrics"]["loss/val"],
        "file": str(path),
        "card": str(find_card(name)),
    }


def format_cells(model: dict[str, Any]) -> list[str]:
    """The cells of a model."""
    return [
        model["name"],
        model["text"],
        f"{model['cell'].upper()} {model['num_layers']}x{model['num_hiddens']}",
        f"{model['parameters']:,}",
        f"{model['bytes'] / 1e6:.1f}",
        f"{compute_perplexity(model['loss/val']):.3f}",
    ]
