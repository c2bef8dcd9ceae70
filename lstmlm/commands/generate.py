"""`generate`: write text from a checkpoint."""

import argparse
import itertools
import json
import sys

from lstmlm.commands import arguments
from lstmlm.errors import BadInput
from lstmlm.terminal import harmless


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--prompt", default="", help="what the text begins with (default: nothing)")
    command.add_argument("--length", type=int, default=500, help="characters after the prompt (default: 500)")
    command.add_argument(
        "--temperature", type=float, default=0.8, help="0: always the most probable character (default: 0.8)"
    )
    command.add_argument("--seed", type=int, default=0, help="fixes the text (default: 0)")
    arguments.checkpoint(command)
    arguments.backend(command)
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    if options.length < 0:
        raise BadInput(f"--length: must be 0 or more, got {options.length}")
    if not 0 <= options.seed < 2**63:
        raise BadInput(f"--seed: must be 0 or more, got {options.seed}")
    from lstmlm import checkpoint
    from lstmlm.sampling import check_temperature, check_text, stream

    check_temperature(options.temperature, "--temperature")
    model, vocab = checkpoint.load(checkpoint.find(options.checkpoint)).build(options.backend)
    check_text(vocab, options.prompt, "--prompt")
    chars = stream(model, vocab, options.prompt, options.length, options.temperature, [options.seed])
    if options.json:
        text = options.prompt + "".join(char for (char,) in chars)
        settings = {"prompt": options.prompt, "seed": options.seed, "temperature": options.temperature}
        print(json.dumps({"text": text, **settings, "length": options.length, "backend": model.backend}))
        return
    on_terminal = sys.stdout.isatty()
    for piece in itertools.chain([options.prompt], (char for (char,) in chars)):
        sys.stdout.write(harmless(piece) if on_terminal else piece)
        sys.stdout.flush()
    if on_terminal:
        sys.stdout.write("\n")
