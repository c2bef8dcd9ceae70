"""`lstmlm COMMAND`, or `python -m lstmlm COMMAND`: the sub-commands, each a file in commands/."""

import argparse
import sys
from types import ModuleType

from lstmlm.commands import (
    baselines,
    check,
    compare,
    completion,
    convert,
    evaluate,
    generate,
    lr_find,
    page,
    report,
    runs,
    score,
    trace,
)
from lstmlm.runs.launch import train
from lstmlm.system.command_parser import CommandParser, suggest
from lstmlm.system.errors import BadInput, make_streams_safe, run_to_exit_code
from lstmlm.system.version import __version__

# name: (its module, its help)
COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "generate": (generate, "write text from a checkpoint"),
    "evaluate": (evaluate, "score a checkpoint on held-out text"),
    "score": (score, "how probable a model finds a text"),
    "baselines": (baselines, "what held-out text costs without a network: n-grams, xz, bzip2"),
    "runs": (runs, "list the runs here, the latest first"),
    "report": (report, "write report.html, one page on a run: curves, samples, verdict, what to type next"),
    "compare": (compare, "put runs beside each other: the lowest validation loss first"),
    "convert": (convert, "make a checkpoint from the weights of another program"),
    "lr_find": (lr_find, "propose a learning rate, for settings of train.py"),
    "check": (check, "is every backend of every cell the same function on this machine?"),
    "trace": (trace, "follow the gates: of a worked example, or of a trained model"),
    "page": (page, "write one HTML file that runs a trained model in a browser"),
    "completion": (completion, "print what makes bash or zsh complete these commands with TAB"),
}


def make_parsers() -> tuple[CommandParser, dict[str, CommandParser]]:
    """The parser of `lstmlm ...`, and that of each command after its name."""
    root = CommandParser(prog="lstmlm", description="A character-level LSTM language model.")
    root.add_argument("--version", action="version", version=f"lstmlm {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("train", help="train a model: the same as python train.py; takes its overrides", add_help=False)
    parsers: dict[str, CommandParser] = {}
    for name, (module, what) in COMMANDS.items():
        parsers[name] = commands.add_parser(name, help=what)
        module.add_options(parsers[name])
        parsers[name].set_defaults(run=module.run)
    parsers["completion"].set_defaults(parsers=parsers)
    return root, parsers


def parse(argv: list[str]) -> argparse.Namespace:
    """The options of a command line. Positional arguments and overrides may stand anywhere among them."""
    root, parsers = make_parsers()
    name = argv[0] if argv else ""
    if name in parsers:
        return parsers[name].parse_words(argv[1:])
    if name[:1] not in ("", "-"):
        near = suggest(name, ["train", *parsers])
        raise BadInput(f"lstmlm: no such command: {name}{near or ': lstmlm --help lists them'}")
    return root.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run `lstmlm COMMAND ...` and return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"]:
        return train(argv[1:])
    make_streams_safe()

    def job() -> None:
        args = parse(argv)
        args.run(args)
        sys.stdout.flush()

    return run_to_exit_code(job)


def entry_point() -> None:
    """The command `lstmlm` as installations before version 0.2 call it."""
    sys.exit(main())
