"""Several models as one: the mean of their probabilities, and of nothing else."""

import json

import pytest
import torch
from helpers.forms import every_form, make_model

from lstmlm.evaluation.scoring import evaluate, evaluate_windows
from lstmlm.model.ensemble import Ensemble


@every_form
def test_the_mean_of_a_model_and_itself_is_the_model(cell, backend):
    model, ids = make_model(backend, cell=cell), torch.randint(7, (60,))
    twice = Ensemble([model, model])
    assert evaluate(twice, ids, chunk=9).nats == pytest.approx(evaluate(model, ids).nats, rel=1e-12)
    assert evaluate_windows(twice, [ids], 8).nats == pytest.approx(evaluate_windows(model, [ids], 8).nats, rel=1e-12)


def test_the_probabilities_are_averaged_each_model_with_a_state_of_its_own():
    models = [make_model("scratch", seed=1), make_model("nn", seed=2, num_hiddens=3, num_layers=2, cell="gru")]
    ids = torch.randint(7, (40,))
    probs = torch.stack([torch.softmax(model(ids[None, :-1])[0], -1) for model in models]).mean(0)
    by_hand = -sum(row[target].log().item() for row, target in zip(probs, ids[1:], strict=True))
    score = evaluate(Ensemble(models), ids, chunk=7)
    assert score.nats == pytest.approx(by_hand, rel=1e-12) and score.num_chars == 39
    assert score.nats < sum(evaluate(model, ids).nats for model in models) / 2  # Jensen's inequality


def test_dropout_is_off_while_an_ensemble_is_scored_and_on_again_after():
    models, ids = [make_model("nn", seed=seed, dropout=0.5).train() for seed in (1, 2)], torch.randint(7, (40,))
    both = Ensemble(models)
    assert evaluate(both, ids).nats == evaluate(both, ids).nats
    assert all(model.training for model in models)


TEXT = "the tide came in, and the tide went out again. " * 40
TINY = ["model.num_hiddens=6", "train.max_steps=3", "train.baselines=false", "data.num_steps=8", "sample.length=5"]


@pytest.fixture
def runs(train, tmp_path):
    """run(name, *overrides): a tiny run of a text in a directory of that name."""
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "other.txt").write_text(TEXT.upper())

    def run(name: str, *overrides: str) -> str:
        done = train("data=file", "data.path=text.txt", f"hydra.run.dir={name}", *TINY, *overrides)
        assert done[0] == 0, done[2]
        return name

    return run


def test_several_runs_are_scored_as_one_and_say_so(runs, command):
    one, two = runs("one"), runs("two", "seed=1", "backend=nn", "model.num_hiddens=9")
    alone = json.loads(command("evaluate", one, "--json")[1])
    for words in ([], ["--windows", "8"], ["--split", "test"], ["--file", "text.txt"]):
        code, out, err = command("evaluate", one, two, "--json", *words)
        row = json.loads(out)
        assert (code, err, row["models"], row["step"], row["backend"]) == (0, "", 2, [3, 3], ["scratch", "nn"])
        each = [json.loads(command("evaluate", run, "--json", *words)[1]) for run in (one, two)]
        for key in [key for key in row if key.endswith("nats_per_char")]:
            assert row[key] < sum(own[key] for own in each) / 2
    assert alone["models"] == 1 and alone["step"] == 3
    assert "mean probabilities of 2 models, of steps 3, 3" in command("evaluate", one, two)[1]


def test_runs_that_cannot_be_averaged_are_named(runs, command):
    one, other = runs("one"), runs("other", "data.path=other.txt")
    cut = runs("cut", "data.split=[0.8,0.1,0.1]")
    for run, what in ((other, "vocabularies"), (cut, "texts for val, by hash")):
        code, out, err = command("evaluate", one, run)
        assert (code, out) == (2, "")
        assert err == f"error: checkpoint: {one} and {run} have different {what}: score them one by one\n"
    assert command("evaluate", one, cut, "--file", "text.txt")[0] == 0
