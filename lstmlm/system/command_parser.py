"""The parser of lstmlm's command lines: argparse, with mistakes reported as BadInput."""

import argparse
from typing import NoReturn

from lstmlm.system.errors import BadInput


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that raises BadInput on a mistake; argparse's own prints the usage and exits.

    Its sub-parsers are CommandParsers too.
    """

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}: {self.prog} --help lists the options")
