"""Dynamic evaluation: the paper's update, after each score and never before it, undone at the end."""

import json
import math

import pytest
import torch
import torch.nn.functional as functional
from helpers.forms import FORMS, every_form, make_model

from lstmlm.evaluation import adaptive_evaluation, dynamic
from lstmlm.evaluation.dynamic import (
    collect_gradient_statistics,
    evaluate_adaptive,
    find_best,
    score_adaptive,
    try_rates,
)
from lstmlm.evaluation.scoring import Score, evaluate, evaluate_pieces
from lstmlm.inspection.equality import measure_difference
from lstmlm.layers.registry import BACKENDS

LR, DECAY, T = 0.01, 0.1, 5


def adapted(model, pieces, lr=LR, decay=DECAY, num_steps=T) -> torch.Tensor:
    """What each character costs; the statistics are those of one fixed text."""
    known = torch.randint(7, (60,), generator=torch.Generator().manual_seed(3))
    return torch.cat(
        list(score_adaptive(model, pieces, collect_gradient_statistics(model, [known], num_steps), lr, decay))
    )


@every_form
def test_without_a_rate_it_is_the_frozen_score(cell, backend):
    model, pieces = make_model(backend, cell=cell, dropout=0.5), [torch.randint(7, (n,)) for n in (38, 1, 12)]
    model.train()
    frozen, nats = evaluate_pieces(model, pieces), adapted(model, pieces, lr=0)
    assert nats.sum().item() == pytest.approx(frozen.nats, rel=1e-12) and len(nats) == frozen.num_chars
    assert adapted(model, pieces).sum().item() != pytest.approx(frozen.nats, rel=1e-6)
    assert model.training


def test_a_step_is_the_papers():
    """The equations at the head of dynamic.py, written out: two segments, and a third scored after them."""
    decay = 0.5  # so that D reaches 1 / lambda for some weights
    model, ids, known = make_model("scratch"), torch.randint(7, (T + 3,)), torch.randint(7, (3 * T + 1,))
    theta = list(model.trained().values())

    def run(ids, state=None):
        logits, state = model(ids[None, :-1], state)
        return functional.cross_entropy(logits, ids[1:]), tuple(part.detach() for part in state)

    MS, state = [torch.zeros_like(own) for own in theta], None
    for k in range(3):
        loss, state = run(known[k * T : k * T + T + 1], state)
        MS = [own + g**2 / 3 for own, g in zip(MS, torch.autograd.grad(loss, theta), strict=True)]
    mean = torch.cat([own.sqrt().flatten() for own in MS]).mean()
    statistics = collect_gradient_statistics(model, [known], T)
    assert statistics.mean == pytest.approx(mean.item(), rel=1e-12)
    assert any((ms.sqrt() / mean > 1 / decay).any() for ms in MS)

    def step(own, trained, ms, g):
        D = (ms.sqrt() / mean).clamp(max=1 / decay)
        return own + decay * D * (trained - own) - LR * g / (ms.sqrt() + dynamic.EPSILON * mean)

    trained, state, expected = [own.detach().clone() for own in theta], None, []
    for k in range(2):  # the second step has somewhere to be pulled back from
        segment = ids[k * T : k * T + T + 1]
        loss, state = run(segment, state)
        expected.append(loss.item())
        g = torch.autograd.grad(loss * (len(segment) - 1) / T, theta)  # 2 characters weigh 2 / T
        with torch.no_grad():
            for own, *rest in zip(theta, trained, MS, g, strict=True):
                own.copy_(step(own, *rest))
    expected.append(run(ids[:2])[0].item())
    with torch.no_grad():
        for own, before in zip(theta, trained, strict=True):
            own.copy_(before)
    nats = list(score_adaptive(model, [ids, ids[:2]], statistics, LR, decay))
    assert [segment.mean().item() for segment in nats] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_the_statistics_are_means_over_the_segments(count):
    model, ids = make_model("scratch"), torch.randint(7, (count * T + 1,))
    gradients = [gradients for _, gradients in dynamic.iterate_segments(model, [ids], T)]
    assert len(gradients) == count
    rms = collect_gradient_statistics(model, [ids], T).rms.values()
    for own, *gs in zip(rms, *gradients, strict=True):
        torch.testing.assert_close(own, torch.stack(gs).square().mean(0).sqrt())


def test_later_characters_do_not_change_earlier_scores():
    model, ids = make_model("fused", torch.float32), torch.randint(7, (40,))
    other = ids.clone()
    other[23] = (other[23] + 1) % 7  # the target of score 22, in the segment of the scores 20 to 24
    a, b = adapted(model, [ids]), adapted(model, [other])
    assert torch.equal(a[:22], b[:22])
    assert (a[25:] != b[25:]).all()


@pytest.mark.parametrize("backend", BACKENDS["lstm"])
def test_the_trained_weights_are_restored_bit_for_bit_also_when_the_reader_stops_midway(backend):
    model, ids = make_model(backend, torch.float32), torch.randint(7, (40,))
    before = model.book_weights()

    def kept() -> bool:
        return all(torch.equal(tensor, before[name]) for name, tensor in model.book_weights().items())

    statistics = collect_gradient_statistics(model, [ids], T)
    assert kept()
    nats = score_adaptive(model, [ids], statistics, LR, DECAY)
    next(nats), next(nats)
    assert not kept()
    nats.close()
    assert kept()
    evaluate_adaptive(model, [ids], statistics, LR, DECAY)
    assert kept()


@pytest.mark.parametrize("cell", BACKENDS)
@pytest.mark.parametrize("embedding_dim", [None, 3])
def test_every_backend_adapts_alike(cell, embedding_dim):
    ids = torch.randint(7, (50,))
    curves = [
        adapted(make_model(backend, cell=cell, num_layers=2, embedding_dim=embedding_dim), [ids])
        for one, backend in FORMS
        if one == cell
    ]
    for curve in curves[1:]:
        assert measure_difference(curve, curves[0]) < 1e-9


@every_form
def test_float32_adapts_as_float64_does(cell, backend):
    ids = torch.randint(7, (50,))
    single, double = (adapted(make_model(backend, dtype, cell=cell), [ids]) for dtype in (torch.float32, torch.float64))
    assert single.dtype == torch.float64 and measure_difference(single, double) < 1e-4


def test_the_cost_of_a_repeated_text_falls():
    model, ids = make_model("nn"), torch.tensor([0, 3, 1, 1, 5, 2] * 60)
    nats = adapted(model, [ids], lr=0.05, decay=0.01)
    assert nats.mean() < 0.7 * evaluate(model, ids).nats_per_char
    assert nats[-50:].mean() < 0.3 * nats[:50].mean()


def test_adapted_weights_are_kept_from_piece_to_piece_and_the_state_is_not():
    model, piece = make_model("nn"), torch.tensor([0, 3, 1, 1, 5, 2] * 5)
    frozen, learning = (adapted(model, [piece, piece], lr=lr).view(2, -1) for lr in (0, LR))
    assert torch.equal(frozen[0], frozen[1])
    assert torch.equal(learning[0], adapted(model, [piece]))
    assert learning[1].mean() < learning[0].mean()


def test_a_character_that_the_training_text_lacks_moves_its_weights_no_further_than_it_may():
    model = make_model("scratch")
    statistics = collect_gradient_statistics(model, [torch.randint(6, (200,))], T)
    ids = torch.tensor([6, 1, 2, 3, 4, 5])
    trained = model.book_weights()["layers.0.W_xi"][6]
    (_, gradients), *_ = dynamic.iterate_segments(model, [ids], T)
    nats = score_adaptive(model, [torch.cat([ids, ids])], statistics, LR, DECAY)
    next(nats), next(nats)
    moved = model.book_weights()["layers.0.W_xi"][6] - trained
    g = dict(zip(model.trained(), gradients, strict=True))["layers.0.W_xi"][6]
    torch.testing.assert_close(moved, -LR * g / (0.1 * statistics.mean))
    nats.close()


def test_tuning_chooses_the_lowest_score_of_its_grid_and_never_one_that_diverged():
    model, ids = make_model("nn"), torch.tensor([0, 3, 1, 1, 5, 2] * 30)
    statistics = collect_gradient_statistics(model, [ids], T)
    scores = try_rates(model, [ids], statistics, LR, DECAY)
    assert len(scores) == 9 and (LR, DECAY) in scores
    assert scores[find_best(scores)].nats == min(score.nats for score in scores.values())
    assert scores[find_best(scores)] == evaluate_adaptive(model, [ids], statistics, *find_best(scores))
    broken = {(3.0, 0.1): Score(math.nan, 9), (1.0, 0.1): Score(5.0, 9), (2.0, 0.1): Score(math.inf, 9)}
    assert find_best(broken) == (1.0, 0.1)


# The command

TEXT = " ".join(f"the tide came in at {k % 12 + 1}, and went out again at {k % 7 + 1}." for k in range(60))
TINY = [
    "backend=nn",
    "model.num_hiddens=6",
    "train.max_steps=3",
    "train.baselines=false",
    "data.num_steps=8",
    "sample.length=5",
]


@pytest.fixture
def run(train, tmp_path) -> str:
    (tmp_path / "text.txt").write_text(TEXT)
    done = train("data=file", "data.path=text.txt", "hydra.run.dir=run", *TINY)
    assert done[0] == 0, done[2]
    return "run"


def rows(command, *words: str) -> dict:
    code, out, err = command("evaluate", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_adaptive_figures_are_reported_apart_from_the_frozen_ones(run, command):
    frozen = rows(command, run)
    row = rows(command, run, "--adaptive", "--adapt-lr", "0.01")
    own = row.pop("adaptive")
    assert row == frozen
    assert own["nats_per_char"] < frozen["nats_per_char"]
    assert own["perplexity"] == pytest.approx(math.exp(own["nats_per_char"]))
    assert own["settings"] == {"lr": 0.01, "decay": 0.001, "steps": 32, "tuned_on": None}
    still = rows(command, run, "--adaptive", "--adapt-lr", "0", "--adapt-steps", "7")["adaptive"]
    assert still["nats_per_char"] == pytest.approx(frozen["nats_per_char"], rel=1e-6)
    lines = command("evaluate", run, "--adaptive", "--adapt-lr", "0.01")[1].splitlines()
    assert lines[0] == command("evaluate", run)[1].strip() and lines[1].startswith("adaptive: perplexity")


def test_rates_are_tuned_on_another_part_which_the_report_names(run, command, monkeypatch):
    monkeypatch.setattr(adaptive_evaluation, "TUNED_CHARS", 100)
    for part, scored in (("val", "test"), ("train", "val")):
        own = rows(command, run, "--adaptive", "--split", scored, "--adapt-tune", part)["adaptive"]
        assert own["settings"]["tuned_on"] == part and own["settings"]["tried"] == 9
        same = [f"--adapt-{name}={own['settings'][name]}" for name in ("lr", "decay")]
        again = rows(command, run, "--adaptive", "--split", scored, *same)["adaptive"]
        assert again["nats_per_char"] == own["nats_per_char"]
    out = command("evaluate", run, "--adaptive", "--adapt-tune", "train")[1]
    assert "the best of 9 on" in out and "by heart" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--adapt-lr", "1"], "--adapt-lr: has no effect without --adaptive: add it, or leave this out"),
        (["--adapt-tune", "val"], "--adapt-tune: has no effect without --adaptive: add it, or leave this out"),
        (["--adaptive", "--adapt-lr", "-1"], "--adapt-lr: must be 0 or more, got -1.0"),
        (["--adaptive", "--adapt-steps", "0"], "--adapt-steps: must be 1 or more, got 0"),
        (["--adaptive", "--adapt-tune", "val"], "--adapt-tune: val is the text that is scored: choose another part"),
        (["--adaptive", "--adapt-tune", "train", "--adapt-lr", "1"], "--adapt-lr: --adapt-tune chooses it: leave"),
        (["run", "--adaptive"], "--adaptive: takes one run, got 2: adapt each by itself"),
    ],
)
def test_what_cannot_be_had_is_one_line(run, command, words, says):
    code, out, err = command("evaluate", run, *words)
    assert (code, out) == (2, "") and err.startswith(f"error: {says}") and err.count("\n") == 1


def test_the_training_text_is_known_by_its_hash_wherever_it_is(run, command, tmp_path):
    before = rows(command, run, "--adaptive")
    (tmp_path / "text.txt").rename(tmp_path / "moved.txt")
    assert rows(command, run, "--adaptive", "--file", "moved.txt", "--split", "val")["adaptive"] == before["adaptive"]
    code, out, err = command("evaluate", run, "--adaptive", "--file", "moved.txt")
    assert (code, out) == (2, "") and err.startswith("error: --adaptive: needs the training text: the run's own text:")
