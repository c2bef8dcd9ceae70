"""`page`: write one HTML file that runs a trained model in a browser."""

import argparse
from pathlib import Path
from typing import Any

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
    from lstmlm.inspection.page import choose_weights, make_page
    from lstmlm.system.durable import write_durably
    from lstmlm.text.oov import check_text, remove_unknown

    loaded = options.load_chosen_weights(args.checkpoint, args.ema)
    model, vocab = loaded.build()
    if vocab.boundary is not None:
        raise BadInput("page: the model writes documents, and a page writes one text without end: use lstmlm generate")
    weights = args.weights or choose_weights(model)
    given = args.prompt
    prompt = remove_unknown(vocab, loaded.prompt) if given is None else check_text(vocab, given, "--prompt")
    title = name_text(loaded.record) if args.title is None else args.title
    page = make_page(model, vocab, title, weights, prompt).encode()
    write_durably(out, page)
    print(f"{out}: {len(page) / 1e6:.1f} MB, weights in {weights}: open it in a browser")


def name_text(record: dict[str, Any]) -> str:
    """The name of the text that the model was trained on, in words: of a file of one's own the file's name."""
    data = record["data"]
    return str(Path(data["path"]).stem if data["name"] == "file" else data["name"]).replace("_", " ")
