"""`explore`: write one HTML file that shows what the units of a trained model do on a text."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lstmlm.commands import options
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls

if TYPE_CHECKING:
    from torch import Tensor

    from lstmlm.checkpoints.checkpoint import Checkpoint
    from lstmlm.inspection.exploration import Exploration


def add_options(command: argparse.ArgumentParser) -> None:
    options.add_checkpoint(command)
    what = "the text (default: the run's held-out text, val and test)"
    command.add_argument("file", action=options.PathAction, metavar="FILE", nargs="?", help=what)
    what = "the HTML file (default: explore.html, where neither --json nor --png is given)"
    command.add_argument("--out", action=options.PathAction, metavar="FILE.html", help=what)
    what = "draw the text in the colours of the units that track most"
    command.add_argument("--png", action=options.PathAction, metavar="FILE.png", help=what)
    command.add_argument("--title", help="the title of the page (default: the name of the run's text)")
    options.add_weights(command)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    out = args.out or (None if args.json or args.png else "explore.html")
    for name, path in (("--out", out), ("--png", args.png)):
        if path is not None and not Path(path).parent.is_dir():
            raise BadInput(f"{name}: no such folder: {Path(path).parent}: make it first")
    from lstmlm.inspection.exploration import LARGEST_TEXT, describe_exploration, explore
    from lstmlm.inspection.explore_page import make_explore_page
    from lstmlm.inspection.page_file import name_text
    from lstmlm.inspection.units import SHORTEST_TEXT
    from lstmlm.inspection.units_picture import draw_units
    from lstmlm.system.durable import write_durably
    from lstmlm.system.json_text import encode_json

    loaded = options.load_chosen_weights(args.checkpoint, args.ema)
    model, vocab = loaded.build()
    ids, what = read_ids(loaded, args.file)
    if len(ids) < SHORTEST_TEXT:
        name = "FILE" if args.file else "the run's held-out text"
        raise BadInput(f"{name}: has {len(ids)} characters: what units track needs at least {SHORTEST_TEXT}")
    if len(ids) > LARGEST_TEXT:
        print(f"the first {LARGEST_TEXT:,} of {len(ids):,} characters are read", file=sys.stderr)
    explored = explore(model, vocab, ids)
    if args.png:
        draw_units(explored, Path(args.png))
    if out is not None:
        page = make_explore_page(explored, name_text(loaded.record) if args.title is None else args.title).encode()
        write_durably(Path(out), page)
    if args.json:
        print(encode_json({"text": what, **describe_exploration(explored)}))
        return
    print(format_findings(explored))
    if out is not None:
        print(f"{out}: {len(page) / 1e6:.1f} MB: open it in a browser")


def read_ids(loaded: "Checkpoint", file: str | None) -> "tuple[Tensor, str]":
    """The ids of a file, or of the held-out text of the run, and what it is."""
    import torch

    from lstmlm.evaluation.held_out import load_unseen, read_given_files
    from lstmlm.text.vocab import restore_vocab

    if file is None:
        return load_unseen(loaded), "val and test"
    text = read_given_files(loaded, file, "FILE")
    return torch.from_numpy(restore_vocab(loaded.record["vocab"]).encode(text)), Path(file).name


def format_findings(explored: "Exploration") -> str:
    """A table for people: each feature, the unit that follows it, and what the model loses without that unit."""
    head = f"{'feature':<37}{'layer':>6}{'unit':>6}  state{'r':>7}{'memory':>8}{'held: +':>9}{'median':>8}"
    lines = [head]
    for one in explored.findings:
        unit = one.unit
        memory = "" if unit.memory is None else f"{unit.memory:.1f}"
        numbers = f"{unit.r:7.2f}{memory:>8}{one.rise_there:9.4f}{one.median_there:8.4f}"
        lines.append(f"{escape_controls(unit.feature):<37}{unit.layer:6}{unit.unit:6}  {unit.part:<5}{numbers}")
    return "\n".join(lines)
