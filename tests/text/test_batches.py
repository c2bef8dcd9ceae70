"""Batches of truncated back-propagation: Y is X one later, lanes continue, windows are shuffled, none is lost."""

import itertools

import pytest
import torch

from lstmlm.system.errors import BadInput
from lstmlm.text.batches import RandomWindows, SequentialStreams, fit_batch_size
from lstmlm.text.lanes import Share


def epoch(streams, seed=0):
    return list(streams.epoch(torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("kind", [SequentialStreams, RandomWindows])
def test_targets_are_the_inputs_one_character_later(kind):
    for X, Y in epoch(kind(torch.arange(1000), 4, 7)):
        assert X.shape == Y.shape == (4, 7)
        assert torch.equal(Y, X + 1)


def test_each_lane_continues_where_it_ended():
    batches = epoch(SequentialStreams(torch.arange(1000), 4, 7))
    for (_, Y), (X, _) in itertools.pairwise(batches):
        assert torch.equal(X[:, 0], Y[:, -1])


@pytest.mark.parametrize("kind", [SequentialStreams, RandomWindows])
def test_the_shares_of_the_lanes_are_the_batches_of_one_process(kind):
    whole = epoch(kind(torch.arange(1000), 6, 7))
    shares = [epoch(kind(torch.arange(1000), 6, 7, share=Share(k, 3))) for k in range(3)]
    for batch, *parts in zip(whole, *shares, strict=True):
        for k in range(2):
            assert torch.equal(torch.cat([part[k] for part in parts]), batch[k])


def test_windows_do_not_overlap_and_come_shuffled():
    streams = RandomWindows(torch.arange(1000), 4, 7)
    starts = torch.cat([X[:, 0] for X, _ in epoch(streams)])
    assert len(set(starts.tolist())) == len(starts)
    assert len({int(start) % 7 for start in starts}) == 1
    assert not torch.equal(starts, starts.sort().values)


@pytest.mark.parametrize("kind", [SequentialStreams, RandomWindows])
def test_offsets_take_every_value_below_num_steps_and_no_other(kind):
    streams, generator = kind(torch.arange(5000), 4, 7), torch.Generator().manual_seed(0)
    offsets = {streams.draw_offset(generator) for _ in range(300)}
    assert offsets == set(range(7))
    first = {int(X[0, 0]) for seed in range(60) for X, _ in epoch(SequentialStreams(torch.arange(200), 4, 7), seed)[:1]}
    assert first == set(range(7))


@pytest.mark.parametrize("kind", [SequentialStreams, RandomWindows])
@pytest.mark.parametrize("length", [29, 30, 35, 36, 57, 100, 999])
def test_every_epoch_has_as_many_batches(kind, length):
    streams = kind(torch.arange(length), 4, 7)
    assert {len(epoch(streams, seed)) for seed in range(50)} == {streams.steps_per_epoch}


def test_the_books_run_has_eight_batches():
    assert SequentialStreams(torch.arange(10_000), 32, 35).steps_per_epoch == 8


def test_a_short_text_shrinks_the_batch_or_is_refused_with_the_length_that_is_needed():
    assert fit_batch_size(32 * 35 + 1, 32, 35) == 32
    assert fit_batch_size(32 * 35, 32, 35) == 31
    assert fit_batch_size(36, 32, 35) == 1
    with pytest.raises(BadInput, match=r"data\.num_steps: the training text has 35 characters.*at least 36"):
        fit_batch_size(35, 32, 35)
