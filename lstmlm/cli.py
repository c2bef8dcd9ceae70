"""`lstmlm COMMAND`, or `python -m lstmlm COMMAND`: the sub-commands, each a file in commands/."""

import argparse
import importlib
import sys
from types import ModuleType

from lstmlm.distributed.place import find_place, refuse_place
from lstmlm.system.command_parser import CommandParser, suggest
from lstmlm.system.errors import BadInput, make_streams_safe, run_to_exit_code
from lstmlm.system.interrupts import exit_on_interrupt
from lstmlm.system.version import __version__

# name, which is that of its file in commands/: its help
COMMANDS: dict[str, str] = {
    "generate": "write text from a checkpoint",
    "evaluate": "score a checkpoint on held-out text",
    "score": "how probable a model finds a text",
    "baselines": "what held-out text costs without a network: n-grams, xz, bzip2",
    "models": "list the models that ship with the program",
    "runs": "list the runs here, the latest first",
    "report": "write report.html, one page on a run: curves, samples, verdict, what to type next",
    "compare": "put runs beside each other: the lowest validation loss first",
    "convert": "make a checkpoint from the weights of another program",
    "lr_find": "propose a learning rate, for settings of train.py",
    "check": "is every backend of every cell the same function on this machine?",
    "trace": "follow the gates: of a worked example, or of a trained model",
    "explore": "show what the units of a trained model do, in one HTML file",
    "page": "write one HTML file that runs a trained model in a browser",
    "completion": "print what makes bash or zsh complete these commands with TAB",
}


def make_root() -> CommandParser:
    """The parser of `lstmlm ...`, which knows the names of the commands."""
    root = CommandParser(prog="lstmlm", description="A character-level LSTM language model.")
    root.add_argument("--version", action="version", version=f"lstmlm {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("train", help="train a model: the same as python train.py; takes its overrides", add_help=False)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    return root


def load_command(name: str) -> ModuleType:
    """The module of a command. The others stay out of the process: what they import takes time."""
    with exit_on_interrupt():
        return importlib.import_module(f"lstmlm.commands.{name}")


def make_parser(name: str) -> CommandParser:
    """The parser of the options of a command, after its name."""
    module, parser = load_command(name), CommandParser(prog=f"lstmlm {name}")
    module.add_options(parser)
    parser.set_defaults(run=module.run)
    if name == "completion":
        parser.set_defaults(parsers={each: make_parser(each) for each in COMMANDS if each != name} | {name: parser})
    return parser


def parse(argv: list[str]) -> argparse.Namespace:
    """The options of a command line. Positional arguments and overrides may stand anywhere among them."""
    name = argv[0] if argv else ""
    if name in COMMANDS:
        return make_parser(name).parse_words(argv[1:])
    if name[:1] not in ("", "-"):
        near = suggest(name, ["train", *COMMANDS])
        raise BadInput(f"lstmlm: no such command: {name}{near or ': lstmlm --help lists them'}")
    return make_root().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run `lstmlm COMMAND ...` and return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"]:
        with exit_on_interrupt():
            from lstmlm.runs.launch import train
        return train(argv[1:])
    make_streams_safe()
    place = find_place()
    if place is not None and place.rank > 0:
        return 0  # rank 0 refuses

    def job() -> None:
        refuse_place(f"lstmlm {' '.join(argv[:1])}".strip())
        args = parse(argv)
        args.run(args)
        sys.stdout.flush()

    return run_to_exit_code(job)


def entry_point() -> None:
    """The command `lstmlm` as installations before version 0.2 call it."""
    sys.exit(main())
