"""The commands are uniform: a file each, with its options and its run, and without torch until it runs."""

import argparse
import inspect
import re

import pytest
from helpers.command_line import ROOT, shell

from lstmlm import cli
from lstmlm.cli import COMMANDS
from lstmlm.commands.options import spell_option
from lstmlm.system.command_parser import CommandParser
from lstmlm.system.errors import BadInput

SHARED = {
    "__init__",
    "adaptive_options",
    "display",
    "documents",
    "mix_options",
    "options",
    "prompts",
    "samples",
    "shading",
}


def test_every_file_of_commands_is_a_command_or_shared_by_commands():
    files = {path.stem for path in (ROOT / "lstmlm" / "commands").glob("*.py")}
    assert files == COMMANDS.keys() | SHARED


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_add_options_and_run_with_the_same_signatures(name):
    module = cli.load_command(name)
    for function, argument in ((module.add_options, argparse.ArgumentParser), (module.run, argparse.Namespace)):
        (parameter,) = inspect.signature(function).parameters.values()
        assert parameter.annotation is argument and inspect.signature(function).return_annotation is None


def test_help_of_every_command_lists_its_options_and_imports_no_torch():
    program = f"""
import sys
from lstmlm import cli
for name in {list(COMMANDS)}:
    try:
        cli.main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0
assert "torch" not in sys.modules and "hydra" not in sys.modules
"""
    done = shell("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(COMMANDS)


def test_a_mistake_in_an_option_of_a_command_is_bad_input_and_argparse_itself_is_as_it_was(command, capsys):
    with pytest.raises(BadInput, match=re.escape("lstmlm score: the following arguments are required: ")):
        cli.parse(["score"])
    assert command("score")[::2] == (
        2,
        "error: lstmlm score: the following arguments are required: FILE|-: lstmlm score --help lists the options\n",
    )
    assert isinstance(cli.make_root(), CommandParser)
    with pytest.raises(SystemExit):
        argparse.ArgumentParser(prog="another").parse_args(["--foo"])
    assert "another: error: unrecognized arguments: --foo" in capsys.readouterr().err


def test_options_are_spelled_with_hyphens():
    assert (spell_option("top_k"), spell_option("adapt_lr")) == ("--top-k", "--adapt-lr")
