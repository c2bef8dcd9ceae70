"""Steps on the batches of streams start from the right state: with weights that stay, they cost what scoring does."""

import pytest
import torch
from helpers.forms import make_model

from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.layers.registry import BACKENDS
from lstmlm.text.batches import RandomWindows, SequentialStreams
from lstmlm.text.document_batches import DocumentBatches
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.stream_step import train_on_streams

RECIPE = Recipe(0.0, "constant", 0.0, grad_clip=1.0, ema=None, micro_batches=1, precision="float32")
BOUNDARY, V = 1, 9
LENGTHS = [3, 20, 1, 7, 40, 2, 8, 5, 13, 2, 2, 6, 31, 4]  # of documents, in windows of 8


def make_documents(num_labels):
    """Ids of documents from symbol 4 on, each with the boundary or the symbol of a label before it."""
    generator = torch.Generator().manual_seed(0)
    pieces = []
    for k, length in enumerate(LENGTHS):
        first = 2 + k % num_labels if num_labels else BOUNDARY
        text = torch.randint(4, V, (length,), generator=generator).tolist()
        pieces.append(torch.tensor([first, *text, BOUNDARY]))
    return pieces


def join(pieces, num_labels):
    """The ids of a part: without labels two documents share the boundary between them."""
    return torch.cat(pieces if num_labels else [pieces[0], *(piece[1:] for piece in pieces[1:])])


def train_for_an_epoch(model, streams):
    """The nats of all targets of an epoch, and their number."""
    learner = Learner(model, build_optimizer(model, "sgd", 0.0, 0.0))
    nats, chars, carried = 0.0, 0, None
    for X, Y in streams.epoch(torch.Generator().manual_seed(3)):
        done, carried = train_on_streams(learner, streams, carried, X, Y, RECIPE)
        nats += done.loss.item() * streams.count_targets(Y)
        chars += streams.count_targets(Y)
    return nats, chars


@pytest.mark.parametrize("num_labels", [0, 2])
@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_an_epoch_of_documents_costs_what_they_cost_one_by_one(backend, num_labels):
    model, pieces = make_model(backend, vocab_size=V, num_layers=2, num_labels=num_labels), make_documents(num_labels)
    streams = DocumentBatches(join(pieces, num_labels), 3, 8, BOUNDARY, num_labels=num_labels, vocab_size=V)
    nats, chars = train_for_an_epoch(model, streams)
    score = evaluate_pieces(model, pieces)
    assert chars == score.num_chars
    assert nats == pytest.approx(score.nats, abs=1e-9)


def test_an_epoch_of_lanes_costs_what_each_of_them_costs():
    model, ids = make_model("fused"), torch.randint(7, (200,), generator=torch.Generator().manual_seed(0))
    streams = SequentialStreams(ids, 3, 8)
    batches = list(streams.epoch(torch.Generator().manual_seed(3)))
    lanes = [torch.cat([batches[0][0][k, :1], *(Y[k] for _, Y in batches)]) for k in range(3)]
    nats, chars = train_for_an_epoch(model, streams)
    assert chars == sum(len(lane) - 1 for lane in lanes)
    assert nats == pytest.approx(evaluate_pieces(model, lanes).nats, abs=1e-9)


def test_random_windows_start_from_the_zero_state():
    model, ids = make_model("fused"), torch.randint(7, (200,), generator=torch.Generator().manual_seed(0))
    streams = RandomWindows(ids, 3, 8)
    batches = list(streams.epoch(torch.Generator().manual_seed(3)))
    windows = [torch.cat([x[:1], y]) for X, Y in batches for x, y in zip(X, Y, strict=True)]
    nats, _ = train_for_an_epoch(model, streams)
    assert nats == pytest.approx(evaluate_pieces(model, windows).nats, abs=1e-9)
