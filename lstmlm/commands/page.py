"""`page`: write one HTML file that runs a trained model in a browser."""

import argparse
from pathlib import Path

from lstmlm.commands import options
from lstmlm.system.errors import BadInput


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", metavar="FILE.html", default="model.html", help="the file (default: %(default)s)")
    what = "the form in which the page stores the weights (default: float32, of more than 1.2 million parameters bf16)"
    command.add_argument("--weights", choices=("float32", "bf16", "int8"), help=what)
    command.add_argument("--title", help="the title of the page (default: the name of the run's text)")
    command.add_argument(
        "--prompt", help="what the page's text begins with (default: what the run's samples begin with)"
    )
    options.add_checkpoint(command)
    options.add_weights(command)


def run(args: argparse.Namespace) -> None:
    out = Path(args.out)
    if not out.parent.is_dir():
        raise BadInput(f"--out: no such folder: {out.parent}: make it first")
    from lstmlm.inspection.page_file import write_page

    loaded = options.load_chosen_weights(args.checkpoint, args.ema)
    model, vocab = loaded.build()
    weights = write_page(model, vocab, loaded.record, out, args.weights, args.title, args.prompt, "--prompt")
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, weights in {weights}: open it in a browser")
