"""The average of the weights: the recursion, on every backend, in the file, at every door."""

import json

import pytest
import torch
from helpers.command_line import SMALL_RUN
from helpers.forms import every_form, make_model

from lstmlm.checkpoints import checkpoint
from lstmlm.inspection.equality import measure_difference
from lstmlm.layers.registry import BACKENDS
from lstmlm.training.ema import WeightAverage
from lstmlm.training.optim import build_optimizer

DECAY, STEPS = 0.8, 6


def walk(model):
    """The average of a model after each of some steps, and the weights of each, under the book's names."""
    average, optimizer, weights = WeightAverage(model, DECAY), build_optimizer(model, "adamw", 0.05, 0.01), []
    for step in range(1, STEPS + 1):
        logits, _ = model(torch.arange(14).view(2, 7) % 5)
        optimizer.zero_grad()
        logits.logsumexp(1).sum().backward()
        optimizer.step()
        average.add(step)
        weights.append(model.book_weights())
        yield average.to_book(), weights


@every_form
def test_it_is_the_weighted_mean_of_the_weights_after_each_step(cell, backend):
    for averaged, weights in walk(make_model(backend, cell=cell, num_layers=2, embedding_dim=3)):
        shares = [DECAY ** (len(weights) - 1 - k) for k in range(len(weights))]
        for name, tensor in averaged.items():
            by_hand = sum(share * w[name] for share, w in zip(shares, weights, strict=True)) / sum(shares)
            assert measure_difference(tensor, by_hand) < 1e-12, name


def test_of_a_walk_shorter_than_its_memory_it_is_the_mean():
    model = make_model("nn")
    average, b_q = WeightAverage(model, 0.999999), []
    for step in range(1, 5):
        with torch.no_grad():
            model.b_q += step
        average.add(step)
        b_q.append(model.b_q.detach().clone())
    torch.testing.assert_close(average.to_book()["b_q"], torch.stack(b_q).mean(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("cell", BACKENDS)
def test_it_is_the_same_on_every_backend_and_each_goes_on_from_the_others(cell):
    ends = {}
    for backend in BACKENDS[cell]:
        model = make_model(backend, cell=cell)
        *_, (ends[backend], _) = walk(model)
        there = WeightAverage(model, DECAY)
        for given in ends.values():
            there.from_book(given)
            taken = there.to_book()
            assert all(torch.equal(taken[name], given[name]) for name in given)
    first, *others = ends.values()
    for other in others:
        assert all(measure_difference(other[name], first[name]) < 1e-9 for name in first)


@pytest.fixture
def averaged_run(train, tmp_path):
    assert train(*SMALL_RUN, "train.max_steps=20", "train.eval_every=10", "train.ema=0.9", "hydra.run.dir=run")[0] == 0
    return tmp_path / "run"


def test_the_file_holds_it_in_the_shapes_of_the_weights_and_not_among_them(averaged_run):
    loaded = checkpoint.load_checkpoint(averaged_run / "last.safetensors")
    averaged = loaded.averaged().weights
    assert {n: t.shape for n, t in averaged.items()} == {n: t.shape for n, t in loaded.weights.items()}
    assert not any(name.startswith("ema.") for name in loaded.weights)
    assert all(not torch.equal(averaged[name], loaded.weights[name]) for name in averaged)


def test_evaluate_score_and_generate_take_it_and_of_a_run_that_of_its_end(averaged_run, command):
    final = json.loads((averaged_run / "metrics.jsonl").read_text().splitlines()[-1])
    row = json.loads(command("evaluate", "run", "--ema", "--json")[1])
    assert row["nats_per_char"] == pytest.approx(final["loss/val_ema"], abs=1e-6) and row["ema"] is True
    assert row["nats_per_char"] != pytest.approx(json.loads(command("evaluate", "run", "--json")[1])["nats_per_char"])
    assert "averaged weights of step 20" in command("evaluate", "run/last.safetensors", "--ema")[1]
    (averaged_run / "text.txt").write_text("The tide came in.")
    doors = (("score", "run", "run/text.txt"), ("generate", "run", "--length", "50", "--prompt", "The "))
    for words in doors:
        code, out, err = command(*words, "--ema")
        assert (code, err) == (0, "") and out != command(*words)[1]


def test_without_one_the_option_is_refused_in_one_line(run_directory, command):
    for words in (("evaluate",), ("generate",)):
        code, out, err = command(*words, str(run_directory), "--ema")
        assert code == 2 and out == "" and err.startswith("error: --ema: the checkpoint has no averaged weights")
        assert err.count("\n") == 1


def test_a_file_whose_settings_and_average_disagree_is_refused(averaged_run, command):
    loaded = checkpoint.load_checkpoint(averaged_run / "last.safetensors")
    one_less = {name: tensor for name, tensor in loaded.tensors.items() if name != "ema.layers.0.W_hf"}
    misshapen = loaded.tensors | {"ema.b_q": torch.zeros(5)}
    infinite = loaded.tensors | {"ema.b_q": torch.full_like(loaded.tensors["ema.b_q"], float("inf"))}
    without = {**loaded.record, "config": {**loaded.record["config"], "train": {**loaded.record["config"]["train"]}}}
    without["config"]["train"]["ema"] = None
    cases = [
        (one_less, loaded.record),
        (misshapen, loaded.record),
        (infinite, loaded.record),
        (loaded.tensors, without),
    ]
    for tensors, record in cases:
        checkpoint.save_checkpoint(averaged_run / "odd.safetensors", tensors, record)
        code, _, err = command("evaluate", str(averaged_run / "odd.safetensors"))
        assert code == 2 and "ema." in err and err.count("\n") == 1
