"""A name for this attempt of the processes to meet, which all of them know and no earlier attempt had.

torchrun starts the processes of a run again where one was lost, but the store that they meet at may live on, with the
addresses of processes that are gone; and of several machines each counts its restarts for itself. So each process asks
rank 0 under a number that it has just drawn, and rank 0 answers until each of the others has said that it knows.
"""

import time
import uuid

from torch.distributed import Store  # type: ignore[attr-defined]  # documented, but not in __all__

PAUSE = 0.01  # seconds between two looks into the store


def agree_on_attempt(store: Store, rank: int, size: int, timeout: float) -> str:
    """The name. RuntimeError if the others of the `size` processes do not come within `timeout` seconds."""
    own, deadline = uuid.uuid4().hex, time.monotonic() + timeout
    while True:
        name = answer(store, own, size) if rank == 0 else ask(store, own, rank)
        if name is not None:
            return name
        if time.monotonic() > deadline:
            raise RuntimeError(f"timed out after {timeout:g} s")
        time.sleep(PAUSE)


def answer(store: Store, name: str, size: int) -> str | None:
    """Tell the name to those who ask. Returns it when all know it."""
    for rank in range(1, size):
        if store.check([f"lstmlm/asks/{rank}"]):
            store.set(f"lstmlm/told/{store.get(f'lstmlm/asks/{rank}').decode()}", name)
    return name if store.check([f"lstmlm/knows/{name}/{rank}" for rank in range(1, size)]) else None


def ask(store: Store, own: str, rank: int) -> str | None:
    """Ask under the number `own`. Returns the name once rank 0 has answered."""
    store.set(f"lstmlm/asks/{rank}", own)
    if not store.check([f"lstmlm/told/{own}"]):
        return None
    name = store.get(f"lstmlm/told/{own}").decode()
    store.set(f"lstmlm/knows/{name}/{rank}", "")
    return name
