"""A mixture is the weighted sum of two probabilities; its weight follows the text so far, and its score is apart."""

import json
import math

import numpy as np
import pytest

from lstmlm.evaluation.kneser_ney import KneserNey
from lstmlm.evaluation.mixing import ORDER, PRIOR, STRENGTH, mix, mix_with_ngram

TEXT = "".join(f"the tide camé in at {k % 12 + 1}, and went out again at {k % 7 + 1}.\n" for k in range(80))
TINY = ["backend=nn", "model.num_hiddens=6", "train.max_steps=3", "train.baselines=false", "data.num_steps=8"]


def draw_nats(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).exponential(2, count)


def test_a_mixture_is_the_definition():
    model, ngram = draw_nats(50, 0), draw_nats(50, 1)
    shares, nats = [], 0.0
    for a, b in zip(np.exp(-model), np.exp(-ngram), strict=True):
        w = (PRIOR * STRENGTH + sum(shares)) / (STRENGTH + len(shares))
        nats -= math.log(w * a + (1 - w) * b)
        shares.append(w * a / (w * a + (1 - w) * b))
    mixture = mix(model, ngram)
    assert mixture.score.nats == pytest.approx(nats, rel=1e-12) and mixture.score.num_chars == 50
    assert mixture.ngram.nats == pytest.approx(ngram.sum(), rel=1e-12)


def test_later_characters_change_no_earlier_score():
    model, ngram = draw_nats(60, 0), draw_nats(60, 1)
    whole = mix(np.append(model, [9.0]), np.append(ngram, [0.1])).score.nats
    last = whole - mix(model, ngram).score.nats
    w = mix(model, ngram).weight
    assert last == pytest.approx(-math.log(w * math.exp(-9) + (1 - w) * math.exp(-0.1)), rel=1e-9)


def test_the_weight_goes_to_the_better_of_the_two():
    good, bad = np.full(2000, 0.5), np.full(2000, 4.0)
    assert mix(good, bad).weight > 0.95 and mix(bad, good).weight < 0.1
    assert mix(good, good).weight == pytest.approx(PRIOR) and mix(good, good).score.nats_per_char == pytest.approx(0.5)


def test_the_n_gram_is_that_of_the_training_text_and_each_piece_has_its_own_context():
    draw = np.random.default_rng(0)
    train, held_out = [draw.integers(4, size=200)], [draw.integers(4, size=n) for n in (30, 1, 12)]
    ngram = np.concatenate([KneserNey(train, 5, ORDER + 1).compute_char_nats(piece, ORDER + 1) for piece in held_out])
    model = draw_nats(29 + 11, 2)
    assert mix_with_ngram(model, train, held_out, 5, growing=False) == mix(model, ngram)
    growing = mix_with_ngram(model, train, held_out, 5, growing=True)
    assert growing.ngram.num_chars == 40 and growing.ngram.nats != pytest.approx(ngram.sum())


# The command


@pytest.fixture
def run(train, tmp_path) -> str:
    (tmp_path / "text.txt").write_text(TEXT)
    done = train("data=file", "data.path=text.txt", "hydra.run.dir=run", *TINY, "sample.length=5")
    assert done[0] == 0, done[2]
    return "run"


def evaluate(command, *words: str) -> dict:
    code, out, err = command("evaluate", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_mixtures_are_reported_apart_and_change_no_other_figure(run, command):
    row = evaluate(command, run, "--mix", "--adaptive")
    mixed, adaptive = row.pop("mix"), row.pop("adaptive_mix")
    assert row == evaluate(command, run, "--adaptive")
    assert evaluate(command, run, "--mix")["mix"] == mixed
    assert mixed["ngram"] == adaptive["ngram"] == f"Kneser-Ney order {ORDER}"
    assert (mixed["counts_grow"], adaptive["counts_grow"]) == (False, True)
    assert mixed["nats_per_char"] < row["nats_per_char"] and 0 < mixed["weight"] < PRIOR  # three steps of training
    assert mixed["bits_per_byte"] < mixed["bits_per_char"]  # the text has letters of two bytes
    lines = command("evaluate", run, "--mix")[1].splitlines()
    assert lines[0] == command("evaluate", run)[1].strip()
    assert lines[1].startswith("mixture with an n-gram of the training text: perplexity ")


def test_models_of_one_text_are_mixed_together_and_of_two_texts_refused(run, command, train, tmp_path):
    assert train(*TINY, "data=file", "data.path=text.txt", "hydra.run.dir=again", "seed=1", "sample.length=5")[0] == 0
    assert evaluate(command, run, "again", "--mix")["mix"]["weight"] < PRIOR
    (tmp_path / "other.txt").write_text(TEXT.replace("at 12", "at 21"))
    assert train(*TINY, "data=file", "data.path=other.txt", "hydra.run.dir=other", "sample.length=5")[0] == 0
    code, out, err = command("evaluate", run, "other", "--mix", "--file", "text.txt")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("error: checkpoint: run and other have different ")


def test_what_cannot_be_mixed_is_one_line(run, command, tmp_path):
    code, out, err = command("evaluate", run, "--mix", "--split", "train")
    assert (code, out) == (2, "") and err.startswith("error: --mix: the scored text is the training text")
    (tmp_path / "text.txt").rename(tmp_path / "moved.txt")
    assert evaluate(command, run, "--mix", "--file", "moved.txt", "--split", "val")["mix"]
    code, out, err = command("evaluate", run, "--mix", "--file", "moved.txt")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("error: --mix: needs the training text: the run's own text: ")
