"""The parser of lstmlm's command lines: argparse, with mistakes reported as BadInput that names the nearest name."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import NoReturn

from lstmlm.system.errors import BadInput


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that raises BadInput on a mistake; argparse's own prints the usage and exits.

    Its sub-parsers are CommandParsers too.
    """

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{self.prog}: {message}: {self.prog} --help lists the options")

    def parse_words(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments, with options and positional arguments in any order. BadInput for an option that is unknown."""
        if unknown := self.find_unknown_option(words):
            near = suggest(unknown, [name for name in self._option_string_actions if name[:2] == "--"])
            self.error(f"unrecognized arguments: {unknown}{near}")
        return self.parse_intermixed_args(words)

    def find_unknown_option(self, words: Iterable[str]) -> str | None:
        """The first word that has the form of an option and is none, nor the beginning of one."""
        for word in words:
            name = word.partition("=")[0]
            if word == "--":
                return None
            if name[:2] == "--" and not any(known.startswith(name) for known in self._option_string_actions):
                return name
        return None


def suggest(name: str, known: Iterable[str]) -> str:
    """`: did you mean KNOWN?` for a misspelt name, empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]}?" if near else ""
