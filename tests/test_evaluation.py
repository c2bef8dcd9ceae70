"""A score is a sum over the whole stream: neither chunks nor the batch of training change it."""

import math

import pytest
import torch
from conftest import every_form, make_model

from lstmlm.evaluation import Score, evaluate


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
