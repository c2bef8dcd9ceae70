"""Documents as batches: all of them in every epoch, each from the zero state, short or long."""

import pytest
import torch
from helpers.forms import make_model

from lstmlm.text.document_batches import IGNORED, DocumentBatches
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.training.backprop import back_propagate

S = 1  # the boundary


def frame(documents):
    return torch.tensor([S] + [idx for document in documents for idx in [*document, S]])


def make_documents(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2, 7, (length,), generator=generator).tolist() for length in lengths]


LENGTHS = {
    "short": [3, 1, 5, 4, 2, 2, 3, 6, 1],
    "long": [20, 13, 9, 31, 8],
    "mixed": [3, 20, 1, 7, 40, 2, 8, 5, 13],
    "one": [50],
    "a short one": [2],
}


def read_back(streams, seed=0):
    """The documents of the batches of an epoch, put together by spans and by the carried state where it is not zero."""
    documents, open_lanes = [], []
    state = None
    for X, Y in streams.epoch(torch.Generator().manual_seed(seed)):
        ones = (torch.ones(1, len(X), 1),)
        carried = None if state is None else streams.carry(state, X)
        goes_on = torch.zeros(len(X)) if carried is None else carried[0][0, :, 0]
        lanes = [None] * len(X)
        spans = streams.find_spans(X, Y)
        for lane, start, length, more in zip(spans.lanes, spans.starts, spans.lengths, spans.goes_on, strict=True):
            inputs, targets = (part[lane, start : start + length].tolist() for part in (X, Y))
            if targets == [IGNORED]:  # a lane that is filled up
                assert start == 0 and not more
                continue
            if start == 0 and goes_on[lane]:
                document = open_lanes[lane]
            else:
                assert inputs[0] == S
                documents.append(document := [])
            assert inputs == [*(document[-1:] or [S]), *targets[:-1]]
            document.extend(targets)
            lanes[lane] = document
            assert more == (targets[-1] != S)
        in_spans = sum(spans.lengths) - lanes.count(None)
        assert streams.count_targets(Y) == in_spans
        open_lanes, state = lanes, ones if len(X) == streams.batch_size else None
    return documents


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_document_is_read_once_whole_and_with_its_end(lengths, batch_size):
    documents = make_documents(lengths)
    streams = DocumentBatches(frame(documents), batch_size, 7, S)
    for seed in range(5):
        assert sorted(read_back(streams, seed)) == sorted([*document, S] for document in documents)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_every_epoch_has_as_many_batches(lengths):
    streams = DocumentBatches(frame(make_documents(lengths)), 2, 7, S)
    counts = {sum(1 for _ in streams.epoch(torch.Generator().manual_seed(seed))) for seed in range(20)}
    assert counts == {streams.steps_per_epoch}


def test_the_order_is_drawn_anew_and_a_seed_fixes_it():
    streams = DocumentBatches(frame(make_documents(LENGTHS["mixed"])), 2, 7, S)
    assert read_back(streams, 3) == read_back(streams, 3) != read_back(streams, 4)


def test_long_documents_come_as_often_before_as_after_a_batch_of_short_ones():
    streams = DocumentBatches(frame(make_documents([2, 20])), 1, 7, S)
    first = [streams.count_targets(next(streams.epoch(torch.Generator().manual_seed(k)))[1]) for k in range(400)]
    assert set(first) == {3, 7} and 170 < first.count(3) < 230


def test_a_batch_of_short_documents_has_about_as_many_characters_as_one_of_a_stream():
    streams = DocumentBatches(frame(make_documents([5] * 400)), 4, 12, S)
    counts = [streams.count_targets(Y) for _, Y in streams.epoch(torch.Generator())]
    assert sum(counts) == 400 * 6 and max(counts) <= 48 < 1.1 * min(counts)


def test_the_windows_of_a_long_document_are_equal_so_that_its_end_counts_as_any_other_character():
    streams = DocumentBatches(frame(make_documents([9, 9, 9, 9, 16, 16])), 2, 8, S)
    counts = [streams.count_targets(Y) for _, Y in streams.epoch(torch.Generator())]
    assert sum(counts) == 4 * 10 + 2 * 17 and min(counts) >= 2 * 5


def test_the_windows_of_long_documents_end_at_few_different_steps():
    ids = frame(make_documents(range(65, 200)))
    streams = DocumentBatches(ids, 16, 64, S)
    batches = [streams.find_spans(X, Y) for X, Y in streams.epoch(torch.Generator())]
    ends = {int(end) for spans in batches for end in spans.lengths[spans.goes_on]}
    assert len(ends) > 2 and all(end % 8 == 0 for end in ends)


def test_short_documents_fill_their_lanes():
    lengths = [1 + k % 13 for k in range(3000)]
    batches = list(DocumentBatches(frame(make_documents(lengths)), 16, 64, S).epoch(torch.Generator()))
    filled = sum(int((Y != IGNORED).sum()) for _, Y in batches) / sum(Y.numel() for _, Y in batches)
    assert filled > 0.95


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("count", [2, 4])
def test_the_shares_of_several_processes_are_the_batches_of_one(lengths, count):
    ids = frame(make_documents(lengths))
    whole, *parts = (DocumentBatches(ids, 3, 7, S, share=share) for share in (ALL_LANES, *shares(count)))
    assert {part.steps_per_epoch for part in parts} == {whole.steps_per_epoch}
    batches = [list(streams.epoch(torch.Generator().manual_seed(2))) for streams in (whole, *parts)]
    for (X, Y), *own in zip(*batches, strict=True):
        assert len({len(x) for x, _ in own}) == 1
        together = [torch.cat(each) for each in zip(*own, strict=True)]
        assert together[0][: len(X)].equal(X) and together[1][: len(X)].equal(Y)
        assert (together[1][len(X) :] == IGNORED).all() and (together[0][len(X) :] == S).all()
        assert sum(part.weigh(y) for part, (_, y) in zip(parts, own, strict=True)) == whole.count_targets(Y)


def shares(count: int) -> list[Share]:
    return [Share(index, count) for index in range(count)]


@pytest.mark.parametrize("backend", ["scratch", "nn", "fused"])
def test_the_gradient_of_a_batch_is_that_of_its_documents_one_by_one(backend):
    documents = make_documents(LENGTHS["short"])
    model = make_model(backend, num_layers=2)
    streams = DocumentBatches(frame(documents), 8, 7, S)
    ((X, Y),) = streams.epoch(torch.Generator())
    spans = streams.find_spans(X, Y)
    assert len(spans.lengths) == len(documents) > len(X)
    loss, _ = back_propagate(model, X, Y, model.begin_state(len(X), "cpu"), 1, "float32", spans=spans)
    packed = {name: param.grad.clone() for name, param in model.trained().items()}
    model.zero_grad()
    total = sum(len(document) + 1 for document in documents)
    summed = 0.0
    for document in documents:
        ids = torch.tensor([S, *document, S])[None]
        own, _ = back_propagate(model, ids[:, :-1], ids[:, 1:], model.begin_state(1, "cpu"), 1, "float32")
        share = (len(document) + 1) / total
        summed += share * own.item()
        for name, param in model.trained().items():
            packed[name] -= share * param.grad
        model.zero_grad()
    assert loss.item() == pytest.approx(summed, abs=1e-12)
    assert max(difference.abs().max().item() for difference in packed.values()) < 1e-12
