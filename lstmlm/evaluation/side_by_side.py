"""Several scores at once, each in a thread: of other weights, or of other texts. n = characters of a piece.

One stream cannot be divided: each of its characters needs the state before it. Different streams can be scored at the
same time, and each thread computes what it would alone, bit for bit, with one thread of torch. It pays where the time
is spent in C, outside of Python's lock: with backend=fused and with nn.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from lstmlm.evaluation.scoring import Model, iterate_nats

Job = tuple[Model, Sequence[Tensor]]  # a model of its own, and pieces (n,)


def iterate_side_by_side(jobs: Sequence[Job], threads: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of a job and the cost in nats of its next scored characters, as `iterate_nats` does.

    `threads` jobs at most are scored at a time. If one fails, its exception is raised here once the others have ended.
    """
    if min(threads, len(jobs)) == 1:
        yield from ((k, nats) for k, job in enumerate(jobs) for nats in iterate_nats(*job))
        return
    found: queue.SimpleQueue[tuple[int, Tensor | None]] = queue.SimpleQueue()
    stopped = threading.Event()

    def score(k: int) -> None:
        torch.set_num_threads(1)  # of this thread
        try:
            for nats in iterate_nats(*jobs[k]):
                found.put((k, nats))
                if stopped.is_set():
                    return
        finally:
            found.put((k, None))

    own_threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(score, k) for k in range(len(jobs))]
        try:
            left = len(jobs)
            while left:
                k, nats = found.get()
                if nats is None:
                    left -= 1
                else:
                    yield k, nats
        finally:  # the reader may stop early
            stopped.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(own_threads)  # for threads that start later
    for future in futures:
        future.result()
