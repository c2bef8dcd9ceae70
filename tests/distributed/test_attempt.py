"""The processes of an attempt agree on its name, whatever earlier attempts left in the store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore

from lstmlm.distributed.attempt import agree_on_attempt, answer, ask


def agree(store: HashStore, size: int) -> set[str]:
    with ThreadPoolExecutor(size) as threads:
        return set(threads.map(lambda rank: agree_on_attempt(store, rank, size, 60.0), range(size)))


@pytest.mark.parametrize("size", [2, 4])
def test_each_attempt_has_one_name_of_its_own(size):
    store = HashStore()
    names = [agree(store, size) for _ in range(3)]
    assert all(len(each) == 1 for each in names) and len(set.union(*names)) == 3


def test_a_process_is_not_told_the_name_of_an_attempt_that_is_gone():
    store = HashStore()
    assert ask(store, "gone", 1) is None
    assert answer(store, "old", 2) is None  # rank 0 is lost here, and started again
    assert ask(store, "fresh", 1) is None
    assert answer(store, "new", 2) is None
    assert ask(store, "fresh", 1) == "new"
    assert answer(store, "new", 2) == "new"


def test_a_process_that_is_started_again_while_rank_0_waits_is_told_the_same_name():
    store = HashStore()
    assert ask(store, "killed", 1) is None
    assert answer(store, "name", 3) is None
    assert ask(store, "again", 1) is None
    assert answer(store, "name", 3) is None
    assert ask(store, "again", 1) == "name"


def test_processes_that_do_not_come_are_waited_for_so_long():
    for rank in (0, 1):
        with pytest.raises(RuntimeError, match="timed out"):
            agree_on_attempt(HashStore(), rank, 2, 0.0)
