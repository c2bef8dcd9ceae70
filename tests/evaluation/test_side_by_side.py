"""Streams that are scored at the same time have the scores that they have alone, bit for bit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.evaluation.scoring import iterate_nats
from lstmlm.evaluation.side_by_side import iterate_side_by_side


def make_jobs(backend, cell="lstm"):
    lengths = ([2500], [1, 900, 30], [1200], [2])
    return [
        (make_model(backend, torch.float32, cell=cell, seed=k), [torch.randint(7, (n,)) for n in pieces])
        for k, pieces in enumerate(lengths)
    ]


def join(found, count):
    return [torch.cat([nats for k, nats in found if k == job]) for job in range(count)]


@every_form
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_scores_side_by_side_are_those_of_each_alone(cell, backend, threads):
    jobs = make_jobs(backend, cell)
    together = join(list(iterate_side_by_side(jobs, threads)), len(jobs))
    for found, job in zip(together, jobs, strict=True):
        assert torch.equal(found, torch.cat(list(iterate_nats(*job))))


def test_as_many_are_scored_at_a_time_as_there_are_threads():
    both = threading.Barrier(2, timeout=60)  # which breaks if one is alone

    class Waiting(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.W_hq, self.num_labels = model, model.W_hq, 0

        def forward(self, *words):
            both.wait()
            return self.model(*words)

    jobs = [(Waiting(make_model("nn", torch.float32)), [torch.randint(7, (50,))]) for _ in range(2)]
    assert len(list(iterate_side_by_side(jobs, 2))) == 2


def test_a_reader_that_stops_and_a_job_that_fails_leave_no_thread_and_the_threads_of_torch():
    before, threads = threading.active_count(), torch.get_num_threads()
    found = iterate_side_by_side(make_jobs("nn"), 2)
    next(found)
    found.close()
    assert (threading.active_count(), torch.get_num_threads()) == (before, threads)
    jobs = make_jobs("nn")
    jobs[1][1][1][5] = 99  # outside of the vocabulary
    with pytest.raises((RuntimeError, IndexError), match="99"):
        list(iterate_side_by_side(jobs, 2))
    assert (threading.active_count(), torch.get_num_threads()) == (before, threads)


def test_a_reader_that_stops_lets_no_other_job_begin(monkeypatch):
    released, begun, end = threading.Event(), [], ThreadPoolExecutor.shutdown

    class Held(torch.nn.Module):
        """Waits at its second chunk until the reader has stopped."""

        def __init__(self, model):
            super().__init__()
            self.model, self.W_hq, self.num_labels, self.calls = model, model.W_hq, 0, 0

        def forward(self, *words):
            begun.append(self)
            self.calls += 1
            assert self.calls == 1 or released.wait(60)
            return self.model(*words)

    def shut_down(pool, wait=True, *, cancel_futures=False):
        end(pool, wait=False, cancel_futures=cancel_futures)
        released.set()
        end(pool, wait=wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shut_down)
    jobs = [(Held(make_model("nn", torch.float32)), [torch.randint(7, (2500,))]) for _ in range(5)]
    found = iterate_side_by_side(jobs, 2)
    next(found)
    found.close()
    assert {jobs.index(job) for job in jobs if job[0] in begun} <= {0, 1}
