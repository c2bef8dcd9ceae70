"""`trace`: follow the gates, of a worked example or of a trained model."""

import argparse
import json
from pathlib import Path

from lstmlm.commands import arguments
from lstmlm.errors import BadInput

TEXT = "The time keeper"


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--text", help=f"what the model reads (default: {TEXT}, or what it knows of that)")
    command.add_argument("--layer", type=int, default=0, help="whose gates, counted from 0 (default: 0)")
    command.add_argument("--png", metavar="FILE", help="draw gates and cell state as heat maps")
    arguments.checkpoint(command, nargs="?")
    arguments.backend(command)
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    from lstmlm import checkpoint, trace

    if options.checkpoint is None:
        if options.text or options.png:
            raise BadInput("trace: --text and --png follow a trained model: give RUN_OR_CHECKPOINT")
        columns = trace.example(options.backend or "scratch")
        as_lists = {name: values[:, 0].tolist() for name, values in columns.items()}
        print(
            json.dumps({"words": list(trace.EXAMPLE_WORDS), **as_lists})
            if options.json
            else trace.example_account(columns)
        )
        return

    import torch

    from lstmlm.unknown import check_text, without_unknown
    from lstmlm.writer import first_character

    model, vocab = checkpoint.load(checkpoint.find(options.checkpoint)).build(options.backend)
    if options.text is None:
        text = without_unknown(vocab, TEXT) or first_character(vocab)
    else:
        text = check_text(vocab, options.text, "--text")
    if not text:
        raise BadInput("--text: is empty: give a text of one character or more")
    followed = trace.trace(model, torch.from_numpy(vocab.encode(text)), text, options.layer)
    if options.png:
        trace.trace_picture(followed, Path(options.png))
    if options.json:
        as_lists = {name: values.tolist() for name, values in followed.columns.items()}
        print(json.dumps({"text": text, "layer": followed.layer, **as_lists}))
    else:
        print(trace.trace_table(followed))
