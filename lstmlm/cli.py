"""`lstmlm COMMAND`, or `python -m lstmlm COMMAND`: the sub-commands, each a file in commands/."""

import argparse
import sys
from types import ModuleType

from lstmlm.commands import baselines, check, compare, convert, evaluate, explore, generate, lr_find, page, score, trace
from lstmlm.runs.launch import train
from lstmlm.system.command_parser import CommandParser
from lstmlm.system.errors import make_streams_safe, run_to_exit_code
from lstmlm.system.version import __version__

# name: (its module, its help)
COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "generate": (generate, "write text from a checkpoint"),
    "evaluate": (evaluate, "score a checkpoint on held-out text"),
    "score": (score, "how probable a model finds a text"),
    "baselines": (baselines, "what held-out text costs without a network: n-grams, xz, bzip2"),
    "compare": (compare, "put runs beside each other: the lowest validation loss first"),
    "convert": (convert, "make a checkpoint from the weights of another program"),
    "lr_find": (lr_find, "propose a learning rate, for settings of train.py"),
    "check": (check, "is every backend of every cell the same function on this machine?"),
    "trace": (trace, "follow the gates: of a worked example, or of a trained model"),
    "explore": (explore, "show what the units of a trained model do, in one HTML file"),
    "page": (page, "write one HTML file that runs a trained model in a browser"),
}


def make_parser() -> CommandParser:
    """The parser of `lstmlm COMMAND ...`, with the options of every command."""
    root = CommandParser(prog="lstmlm", description="A character-level LSTM language model.")
    root.add_argument("--version", action="version", version=f"lstmlm {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("train", help="train a model: the same as python train.py; takes its overrides", add_help=False)
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        module.add_options(command)
        command.set_defaults(run=module.run)
    return root


def parse(argv: list[str]) -> argparse.Namespace:
    """The options of a command line. Overrides may stand anywhere among them, which argparse alone does not allow."""
    root = make_parser()
    args, rest = root.parse_known_args(argv)
    if hasattr(args, "overrides"):
        args.overrides += [word for word in rest if word[:1] != "-"]
        rest = [word for word in rest if word[:1] == "-"]
    if rest:
        root.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


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
    """The installed command `lstmlm`."""
    sys.exit(main())
