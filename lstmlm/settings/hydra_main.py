"""`hydra.main` as a function of the command line's words; sys.argv, argparse and the environment stay as they are.

hydra.main reads sys.argv, builds a parser of argparse's own class, and reports errors in its own way unless
HYDRA_FULL_ERROR is set. All three are replaced for the call, and restored when it ends.
"""

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lstmlm.system.command_parser import CommandParser
from lstmlm.system.paths import find_shipped

if TYPE_CHECKING:
    from omegaconf import DictConfig

FULL_ERROR = "HYDRA_FULL_ERROR"


def call_hydra_main(words: list[str], job: Callable[["DictConfig"], None]) -> None:
    """Compose conf/ with the words of a command line and call `job` with the result, once or for each job of a sweep.

    Raises Hydra's exceptions, BadInput for a wrong flag, and SystemExit after --help and its like.
    """
    import hydra

    full_error = os.environ.get(FULL_ERROR)

    @functools.wraps(job)
    def run_in_own_environment(composed: "DictConfig") -> None:  # in this process, or in one that a launcher starts
        with set_environment(FULL_ERROR, full_error):
            job(composed)

    main = hydra.main(version_base="1.3", config_path=str(find_shipped("conf")), config_name="config")
    with contextlib.ExitStack() as replaced:
        replaced.enter_context(set_environment(FULL_ERROR, "1"))  # Hydra then raises its errors
        replaced.enter_context(set_attribute(sys, "argv", [*sys.argv[:1], *words]))
        replaced.enter_context(set_attribute(argparse.ArgumentParser, "error", CommandParser.error))
        if sys.version_info >= (3, 14):  # argparse checks the help, and Hydra 1.3 has one that is no str (hydra#3121)
            replaced.enter_context(set_attribute(argparse.ArgumentParser, "_check_help", lambda parser, action: None))
        main(run_in_own_environment)()


@contextlib.contextmanager
def set_attribute(owner: Any, name: str, value: object) -> Iterator[None]:
    """Set an attribute of a module or a class for the block; afterwards it is what it was, or is not there again."""
    own = name in vars(owner)
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextlib.contextmanager
def set_environment(name: str, value: str | None) -> Iterator[None]:
    """Set a variable of the environment for the block, or remove it for None; afterwards it is what it was."""
    before = os.environ.get(name)
    change_environment(name, value)
    try:
        yield
    finally:
        change_environment(name, before)


def change_environment(name: str, value: str | None) -> None:
    """Set a variable of the environment, or remove it for None."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
