"""The range test reads a rate off the loss: the right one on a curve made up, one that trains on a text."""

import json
import re
import sys
from itertools import islice

import pytest
import torch
import torch.nn.functional as functional
from helpers.forms import make_model

from lstmlm.system.errors import BadInput
from lstmlm.text.batches import RandomWindows, SequentialStreams
from lstmlm.training import lr_range_test
from lstmlm.training.lr_range_test import HIGHEST, LOWEST, RangeTest, iterate_batches, run_range_test, smooth
from lstmlm.training.optim import build_optimizer, compute_norm
from lstmlm.training.plan import Recipe

IDS = torch.tensor([0, 1, 2, 3, 4, 5, 6, 5, 3, 1] * 60)
SMALL = ["backend=nn", "model.num_hiddens=16", "data.batch_size=4", "data.num_steps=16"]

RECIPE = Recipe(1.0, "constant", 0.0, grad_clip=1.0, ema=None, micro_batches=1, precision="float32")


def run_test(name: str = "adamw", kind=SequentialStreams, ids=IDS, steps: int = 100) -> RangeTest:
    model = make_model("nn", torch.float32, num_hiddens=16)
    optimizer = build_optimizer(model, name, 1.0, 0.0)
    return run_range_test(model, optimizer, kind(ids, 4, 8), torch.Generator().manual_seed(0), RECIPE, steps)


def test_the_rate_halfway_between_fastest_fall_and_lowest_loss_is_proposed():
    rates = [10.0**k for k in range(-6, 3)]
    test = RangeTest(rates, [4.0, 4.0, 3.9, 3.0, 2.6, 2.5, 2.7, 5.0, 9.0])
    assert (test.rates[test.steepest], test.rates[test.lowest]) == (1e-3, 0.1)
    assert test.proposal == 0.01
    assert RangeTest([0.3, 0.784], [2.0, 1.0]).proposal == 0.8


def test_the_first_batch_of_each_epoch_is_marked_for_its_zero_state():
    streams = SequentialStreams(IDS, 4, 8)
    marked = islice(iterate_batches(streams, torch.Generator().manual_seed(0)), 2 * streams.steps_per_epoch)
    firsts = [is_first for _, _, is_first in marked]
    assert firsts == [True, *[False] * (streams.steps_per_epoch - 1)] * 2


def test_smoothing_moves_nothing_to_a_later_rate():
    valley = [abs(k - 30) + 5.0 * (k % 2) for k in range(60)]
    assert smooth(valley, 4)[30] == min(smooth(valley, 4))
    assert smooth([1.0, 2.0, 6.0], 2) == [1.5, 3.0, 4.0]


@pytest.mark.parametrize("kind", [SequentialStreams, RandomWindows])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_rates_rise_exponentially_until_the_loss_blows_up_and_all_is_the_same_again(name, kind):
    test = run_test(name, kind)
    ratios = [b / a for a, b in zip(test.rates[:-1], test.rates[1:], strict=True)]
    assert test.rates[0] == LOWEST and test.rates[-1] < HIGHEST and len(test.rates) == len(test.losses)
    assert ratios == pytest.approx([(HIGHEST / LOWEST) ** (1 / 99)] * len(ratios))
    assert test.losses[-1] > 1.5 * min(test.losses) and 0 < test.lowest < len(test.losses) - 1
    assert test == run_test(name, kind)


def test_the_proposed_rate_learns_more_than_a_fiftieth_or_fifty_times_of_it():
    def loss_after(steps: int, rate: float) -> float:
        model = make_model("nn", torch.float32, num_hiddens=16)
        optimizer = build_optimizer(model, "adamw", rate, 0.0)
        for _ in range(steps):
            loss = functional.cross_entropy(model(IDS[None, :64])[0], IDS[1:65])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    rate = run_test().proposal
    assert loss_after(60, rate) < min(loss_after(60, rate / 50), loss_after(60, rate * 50)) - 0.1


def test_a_loss_that_falls_at_no_rate_is_said(monkeypatch):
    def turn_back(params):
        for param in params:
            param.grad.neg_()
        return compute_norm(params)

    monkeypatch.setattr("lstmlm.training.step.compute_norm", turn_back)
    with pytest.raises(BadInput, match="lr_find: the loss falls at no rate from 1e-06 to 100: look at the text"):
        run_test("sgd")


@pytest.mark.parametrize(("fall", "is_noise"), [(0.06, False), (0.04, True)])
def test_a_fall_of_less_than_a_twentieth_of_a_nat_is_noise(monkeypatch, fall, is_noise):
    monkeypatch.setattr(lr_range_test, "smooth", lambda losses, width: [2.0, *[2.0 - fall] * (len(losses) - 1)])
    if is_noise:
        with pytest.raises(BadInput, match="falls at no rate"):
            run_test()
    else:
        assert run_test().lowest == 1


def test_the_command_proposes_a_rate_with_a_picture(command, tmp_path):
    picture = tmp_path / "loss"
    words = [*SMALL[:2], "--steps", "100", *SMALL[2:], "--png", str(picture), "train.lr=0.5"]
    code, out, err = command("lr_find", *words)
    assert (code, err) == (0, "") and picture.read_bytes().startswith(b"\x89PNG")
    rate = re.search(r"^proposed: train\.lr=([\d.e-]+), halfway between them", out, re.M)[1]
    assert out.endswith(f"next: python -m lstmlm train {' '.join(SMALL)} train.lr={rate}\n")
    row = json.loads(command("lr_find", "--json", *SMALL, "--steps", "100")[1])
    assert f"{row['lr']:g}" == rate and len(row["rates"]) == len(row["losses"])
    assert row["steepest"] <= row["lowest"] < row["rates"][-1]


def test_mistakes_and_a_missing_matplotlib_are_one_line(command, monkeypatch):
    assert command("lr_find", "--steps", "99")[::2] == (
        2,
        "error: --steps: must be 100 or more, got 99: the rate would rise too fast\n",
    )
    code, _, err = command("lr_find", "train.lrr=1", "--json")
    assert code == 2 and re.fullmatch(r"error: train\.lrr: no such setting: did you mean train\.lr\?.*\n", err)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command("lr_find", *SMALL, "--png", "x.png")[::2] == (
        2,
        "error: --png: drawing needs matplotlib: pip install matplotlib\n",
    )
