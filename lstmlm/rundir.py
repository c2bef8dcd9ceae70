"""A directory for one run alone, with its log."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from lstmlm.commit import locked
from lstmlm.errors import BadInput, EnvironmentFault, LstmlmError


@contextlib.contextmanager
def claimed(chosen: Path, named: bool, resuming: bool = False) -> Iterator[Path]:
    """Hold `chosen` for the block, with the log open in it: nobody else may use it, and no checkpoint is there.

    `resuming` is for a directory whose checkpoints are wanted.

    Where the directory is not one that the user `named`, and another run took it in the same second, the first free
    of chosen_2, chosen_3, ... is taken.
    """
    directory, count = chosen, 1
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory) as free:
            if free and (resuming or not has_checkpoint(directory)):
                for unfinished in directory.glob(".*.tmp"):  # of a run that was killed while it wrote
                    unfinished.unlink()
                with logging_to(directory / "train.log"):
                    yield directory
                return
        if (named or resuming) and not free:
            raise EnvironmentFault(f"{directory} is in use by another run: wait for it, or choose another directory")
        if named:
            raise BadInput(
                f"hydra.run.dir: {directory} holds a checkpoint already: choose another directory, "
                f"or go on with resume={directory}"
            )
        count += 1
        directory = chosen.with_name(f"{chosen.name}_{count}")


def has_checkpoint(directory: Path) -> bool:
    return any(directory.glob("*.safetensors"))


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """The log to stdout and, with the time and what is only for debugging, to a file; around the bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    log = logging.getLogger("lstmlm")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    screen = logging.StreamHandler(sys.stdout)
    screen.setLevel(logging.INFO)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.handlers = [screen, file]
    try:
        with logging_redirect_tqdm([log]):
            yield
    except LstmlmError as error:
        log.debug("ended: %s", error)
        raise
    except Exception:
        log.debug("ended by a bug", exc_info=True)
        raise
    finally:
        log.handlers = []
        file.close()
