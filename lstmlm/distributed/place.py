"""Which of several processes this one is, as torchrun says in the environment."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from lstmlm.system.errors import BadInput


class Place(NamedTuple):
    """A process of a run of `size` processes. Rank 0 leads. `local_rank` counts those of this machine."""

    rank: int
    local_rank: int
    size: int
    host: str  # where the store is that the processes meet at
    port: int
    has_agent: bool  # torchrun serves the store; else rank 0 does


def refuse_place(command: str) -> None:
    """BadInput if torchrun has started this process, for a command that works in one process."""
    if find_place() is not None:
        raise BadInput(f"torchrun: {command} works in one process, only train.py in several: start it without torchrun")


def find_place(environ: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None for a run of one process."""
    size = environ.get("WORLD_SIZE", "")
    names = ("RANK", "LOCAL_RANK", "MASTER_PORT")
    if not size.isdecimal() or int(size) < 2 or not all(environ.get(name, "").isdecimal() for name in names):
        return None
    rank, local_rank, port = (int(environ[name]) for name in names)
    has_agent = environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return Place(rank, local_rank, int(size), environ.get("MASTER_ADDR", "localhost"), port, has_agent)
