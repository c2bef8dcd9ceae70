"""A score is a sum over the whole stream: neither chunks nor the batch of training change it."""

import itertools
import math

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.evaluation import scoring
from lstmlm.evaluation.dynamic import collect_gradient_statistics, score_adaptive
from lstmlm.evaluation.scoring import (
    Score,
    evaluate,
    evaluate_pieces,
    evaluate_windows,
    iterate_char_nats,
    score_chars,
    take_first,
)
from lstmlm.model.ensemble import Ensemble


@every_form
def test_the_score_does_not_depend_on_the_chunks(cell, backend):
    model = make_model(backend, torch.float32, cell=cell, num_layers=2, dropout=0.5)
    model.train()
    ids = torch.randint(7, (500,))
    whole = evaluate(model, ids, chunk=10_000)
    assert whole.num_chars == 499 and model.training
    for chunk in (1, 7, 64, 499):
        assert abs(evaluate(model, ids, chunk).nats_per_char - whole.nats_per_char) < 1e-6


def test_every_character_but_the_first_is_scored_once_after_all_before_it():
    model, ids = make_model("scratch"), torch.randint(7, (40,))
    logits, _ = model(ids[None, :-1])
    nats = -sum(torch.log_softmax(row, 0)[target] for row, target in zip(logits, ids[1:], strict=True))
    torch.testing.assert_close(evaluate(model, ids, chunk=9).nats, nats.item())


def test_a_model_in_training_is_in_training_again_when_its_score_is_read_only_in_part():
    model, ids = make_model("nn", dropout=0.5).train(), torch.randint(7, (40,))
    whole = torch.cat(list(iterate_char_nats(model, ids)))
    reader = iterate_char_nats(model, ids, chunk=7)
    assert torch.allclose(next(reader), whole[:7]) and model.training
    statistics = collect_gradient_statistics(model, [ids], 7)
    adapting = score_adaptive(model, [ids], statistics, 0.01, 0.1)
    assert torch.allclose(next(adapting), whole[:7]) and model.training


@pytest.mark.parametrize("score", [evaluate, lambda model, ids: evaluate_windows(model, [ids], 7)])
def test_a_model_in_training_is_in_training_again_when_scoring_fails(score):
    model = make_model("nn", dropout=0.5).train()
    with pytest.raises(RuntimeError):
        score(model, torch.full((40,), 7))  # an id that the vocabulary of 7 lacks
    assert model.training


def test_perplexity_is_one_exp_of_sums():
    total = Score(10.0, 5) + Score(2.0, 1)
    assert total == Score(12.0, 6)
    assert total.nats_per_char == 2 and total.perplexity == math.exp(2)
    assert total.bits_per_char == pytest.approx(2 / math.log(2))
    assert Score(1e6, 1).perplexity == math.inf


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    model = make_model("scratch")
    with torch.no_grad():
        model.W_hq.zero_()
        model.b_q.zero_()
    assert evaluate(model, torch.randint(7, (100,))).perplexity == pytest.approx(7)


def nats_of(model, ids) -> float:
    """What ids (n,) but the first cost from the zero state, one character after the other."""
    state, nats = None, 0.0
    for given, target in itertools.pairwise(ids):
        logits, state = model(given[None, None], state)
        nats -= torch.log_softmax(logits, -1)[0, target].item()
    return nats


def test_pieces_are_streams_of_their_own():
    model, pieces = make_model("nn"), [torch.randint(7, (n,)) for n in (30, 1, 12)]
    score = evaluate_pieces(model, pieces)
    assert score.num_chars == 29 + 11
    assert score.nats == pytest.approx(nats_of(model, pieces[0]) + nats_of(model, pieces[2]))


@every_form
def test_pieces_side_by_side_cost_what_each_costs_alone(cell, backend, monkeypatch):
    monkeypatch.setattr(scoring, "LANES", 3)
    monkeypatch.setattr(scoring, "AT_ONCE", 30)
    model = make_model(backend, torch.float32, cell=cell, num_layers=2, dropout=0.5).train()
    pieces = [torch.randint(7, (n,)) for n in (30, 1, 12, 61, 0, 12, 2, 45)]
    alone = [torch.cat(list(iterate_char_nats(model, piece))) for piece in pieces if len(piece) > 1]
    together = score_chars(model, pieces)
    torch.testing.assert_close(torch.cat(together), torch.cat(alone), rtol=0, atol=2e-6)
    score = evaluate_pieces(model, pieces)
    assert score.num_chars == sum(map(len, alone)) and model.training
    assert abs(score.nats_per_char - torch.cat(alone).mean().item()) < 1e-6
    assert [len(part) for part in score_chars(model, pieces[:2])] == [29]


def test_an_ensemble_scores_pieces_side_by_side():
    model = Ensemble([make_model("nn"), make_model("scratch", cell="gru")])
    pieces = [torch.randint(7, (n,)) for n in (9, 30, 12)]
    alone = [torch.cat(list(iterate_char_nats(model, piece))) for piece in pieces]
    torch.testing.assert_close(torch.cat(score_chars(model, pieces)), torch.cat(alone))


@pytest.mark.parametrize("length", [1, 4, 8, 100])
def test_windows_begin_at_the_zero_state_and_score_every_character_but_the_first_once(length):
    model, ids = make_model("nn", dropout=0.5), torch.randint(7, (38,))
    score = evaluate_windows(model, [ids], length)
    assert score.num_chars == 37 and model.training
    model.eval()
    expected = sum(nats_of(model, ids[start : start + length + 1]) for start in range(0, 37, length))
    assert score.nats == pytest.approx(expected)


def test_the_first_characters_of_pieces_are_those_that_are_scored():
    pieces = [torch.arange(5), torch.arange(4), torch.arange(9)]
    assert take_first(pieces, None) == pieces
    assert [piece.tolist() for piece in take_first(pieces, 6)] == [[0, 1, 2, 3, 4], [0, 1, 2]]
    assert [piece.tolist() for piece in take_first(pieces, 4)] == [[0, 1, 2, 3, 4]]
    assert [piece.tolist() for piece in take_first(pieces, 5)] == [[0, 1, 2, 3, 4], [0, 1]]
