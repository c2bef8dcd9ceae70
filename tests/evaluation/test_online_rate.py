"""The rate of dynamic evaluation is chosen by the characters before: a mixture of copies first, then the best alone."""

import json
import math

import pytest
import torch
from helpers.forms import make_model

from lstmlm.evaluation import adaptive_evaluation
from lstmlm.evaluation.dynamic import collect_gradient_statistics, score_adaptive
from lstmlm.evaluation.online_rate import score_with_best_rate
from lstmlm.settings.adaptive import LRS

T, DECAY, RATES = 5, 0.1, (0.001, 0.05, 0.01)
REPEATED = torch.tensor([0, 3, 1, 1, 5, 2] * 40)


def prepare(ids, dtype=torch.float64):
    model = make_model("nn", dtype)
    return model, collect_gradient_statistics(model, [ids], T)


def adapt(model, statistics, pieces, lr) -> torch.Tensor:
    return torch.cat(list(score_adaptive(model, pieces, statistics, lr, DECAY)))


@pytest.mark.parametrize("num_chars", [1, 60, 10**6])
def test_characters_cost_what_they_do_under_bayes_mixture_of_the_rates_and_then_under_the_best_rate(num_chars):
    model, statistics = prepare(REPEATED)
    pieces = [REPEATED[:33], REPEATED[33:]]
    each = torch.stack([adapt(model, statistics, pieces, lr) for lr in RATES])
    online = score_with_best_rate(model, pieces, statistics, RATES, DECAY, num_chars)
    seen = {1: 5, 60: 32 + 30, 10**6: len(REPEATED) - 2}[num_chars]  # whole segments, of 32 characters and the rest
    assert online.num_chars == seen and online.lr == RATES[each[:, :seen].sum(1).argmin()]
    expected, weights = [], [1 / 3] * 3
    for costs in each[:, :seen].T.tolist():
        p = [w * math.exp(-cost) for w, cost in zip(weights, costs, strict=True)]
        expected.append(-math.log(sum(p)))
        weights = [own / sum(p) for own in p]
    nats = torch.cat(online.nats)
    assert nats[:seen].tolist() == pytest.approx(expected, rel=1e-9)
    assert torch.equal(nats[seen:], each[RATES.index(online.lr), seen:])


def test_later_characters_change_neither_earlier_scores_nor_the_choice():
    model, statistics = prepare(REPEATED)
    other = REPEATED.clone()
    other[43] = (other[43] + 1) % 7  # the target of score 42, in the segment of the scores 40 to 44
    a, b = (score_with_best_rate(model, [ids], statistics, RATES, DECAY, 30) for ids in (REPEATED, other))
    assert torch.equal(torch.cat(a.nats)[:42], torch.cat(b.nats)[:42]) and a.lr == b.lr
    assert torch.cat(a.nats)[42] != torch.cat(b.nats)[42]


def test_the_model_keeps_its_weights():
    model, statistics = prepare(REPEATED, torch.float32)
    before = model.book_weights()
    score_with_best_rate(model, [REPEATED], statistics, RATES, DECAY, 50)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.book_weights().items())


def test_a_rate_that_diverges_is_never_chosen_and_spoils_no_score():
    model, statistics = prepare(REPEATED, torch.float32)
    assert not adapt(model, statistics, [REPEATED], 1e38).isfinite().all()
    online = score_with_best_rate(model, [REPEATED], statistics, (1e38, 0.05), DECAY, 100)
    assert online.lr == 0.05 and torch.cat(online.nats).isfinite().all()


# The command

TEXT = "".join(f"the tide camé in at {k % 12 + 1}, and went out again at {k % 7 + 1}.\n" for k in range(40))
TINY = ["backend=nn", "model.num_hiddens=6", "train.max_steps=3", "train.baselines=false", "data.num_steps=8"]


@pytest.fixture
def evaluate(train, command, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    done = train("data=file", "data.path=text.txt", "hydra.run.dir=run", *TINY, "sample.length=5")
    assert done[0] == 0, done[2]

    def call(*words: str) -> dict:
        code, out, err = command("evaluate", "run", "--adaptive", *words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)["adaptive"]

    return call


def test_without_a_rate_that_is_given_the_rate_is_chosen_on_the_way_and_reported(evaluate, command, monkeypatch):
    monkeypatch.setattr(adaptive_evaluation, "ONLINE_CHARS", 40)
    row = evaluate()
    settings = row["settings"]
    assert settings == {
        "lr": settings["lr"],
        "decay": 0.001,
        "steps": 32,
        "tuned_on": None,
        "chosen_of": list(LRS),
        "chosen_chars": 64,
    }
    best = min(evaluate(f"--adapt-lr={lr}")["nats_per_char"] for lr in LRS)
    assert settings["lr"] in LRS and row["nats_per_char"] == pytest.approx(best, abs=0.02)
    assert "chosen_of" not in evaluate("--adapt-lr=5e-4")["settings"]
    out = command("evaluate", "run", "--adaptive")[1]
    assert (
        "; --adapt-lr the best of 0.00025, 0.0005, 0.001 on the first 64 characters, which their mixture scored" in out
    )
