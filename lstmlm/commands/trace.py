"""`trace`: follow the gates, of a worked example or of a trained model."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from lstmlm.commands import options
from lstmlm.system.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from lstmlm.checkpoints.checkpoint import Checkpoint
    from lstmlm.inspection.trace_story import Story

TEXT = "The time keeper"


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--text", help=f"what the model reads (default: {TEXT}, or what it knows of that)")
    command.add_argument("--layer", type=int, default=0, help="whose gates, counted from 0 (default: 0)")
    command.add_argument(
        "--png", action=options.PathAction, metavar="FILE", help="draw costs, likeliest characters, gates and cells"
    )
    command.add_argument("--html", action=options.PathAction, metavar="FILE", help="the same as a page to point at")
    options.add_checkpoint(command, more="; left out: a worked example of one cell")
    options.add_backend(command)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    if args.checkpoint is None:
        trace_example(args)
    else:
        trace_model(args)


def trace_example(args: argparse.Namespace) -> None:
    """Print the columns of the worked example."""
    from lstmlm.inspection import gate_trace

    if args.text or args.png or args.html:
        raise BadInput("trace: --text, --png and --html follow a trained model: give RUN_OR_CHECKPOINT")
    columns = gate_trace.follow_example(args.backend or "scratch")
    if args.json:
        as_lists = {name: values[:, 0].tolist() for name, values in columns.items()}
        print(json.dumps({"words": list(gate_trace.EXAMPLE_WORDS), **as_lists}))
    else:
        print(gate_trace.format_example(columns))


def trace_model(args: argparse.Namespace) -> None:
    """Print, and draw if asked to, the gates of a trained model while it reads a text."""
    import torch

    from lstmlm.evaluation.given_text import read_typed_text
    from lstmlm.generation.writer import choose_first_character
    from lstmlm.inspection import gate_trace
    from lstmlm.inspection.trace_story import tell_story
    from lstmlm.text.oov import check_text, remove_unknown

    loaded = options.load_chosen_weights(args.checkpoint, ema=False)
    model, vocab = loaded.build(args.backend)
    if args.text is None:
        text = remove_unknown(vocab, TEXT) or choose_first_character(vocab)
    else:
        text = check_text(vocab, read_typed_text(loaded.record, args.text), "--text")
    if not text:
        raise BadInput("--text: is empty: give a text of one character or more")
    ids = vocab.encode(text)
    symbols = [vocab.decode([idx]) for idx in ids]  # of bytes there are more than characters
    followed = gate_trace.trace_gates(model, torch.from_numpy(ids), symbols, args.layer)
    if args.png or args.html:
        show_story(args, tell_story(model, vocab, torch.from_numpy(ids), followed, read_known_text(loaded)))
    if args.json:
        as_lists = {name: values.tolist() for name, values in followed.columns.items()}
        print(json.dumps({"text": text, "layer": followed.layer, **as_lists}))
    else:
        print(gate_trace.format_trace(followed))


def read_known_text(loaded: "Checkpoint") -> "Tensor | None":
    """The held-out text of the run, from which to find what units track; None where it is not there."""
    from lstmlm.evaluation.held_out import load_unseen

    try:
        return load_unseen(loaded)
    except BadInput:
        return None


def show_story(args: argparse.Namespace, story: "Story") -> None:
    """Write the picture and the page that were asked for."""
    from lstmlm.inspection.trace_page import make_trace_page
    from lstmlm.inspection.trace_picture import draw_story
    from lstmlm.system.durable import write_durably

    if args.png:
        draw_story(story, Path(args.png))
    if args.html:
        write_durably(Path(args.html), make_trace_page(story, "".join(story.trace.symbols)).encode())
