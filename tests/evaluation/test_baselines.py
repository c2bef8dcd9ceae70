"""Baselines are of the text that the model is scored on, and kept in the cache by content; a run reports them."""

import json
import math
import os
import random
import re

import numpy as np
import pytest
from helpers.command_line import SMALL_RUN, composed_config, shared_text
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm.evaluation import baselines
from lstmlm.evaluation.baselines import Baseline, compute_compressor_baselines, compute_ngram_baselines, find_best_ngram
from lstmlm.evaluation.scoring import Score
from lstmlm.runs import execute
from lstmlm.text.corpus import read_corpus
from lstmlm.text.vocab import Vocab
from lstmlm.training import evaluator

TEXT = "the tide comes in, the tide goes out, and the clock tells of it. " * 30
RUN = (*SMALL_RUN, "backend=nn")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTMLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "baselines"


def ids(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


def noise(length, seed):
    return "".join(random.Random(seed).choices("abcdefghijklmnop", k=length))


def test_no_baseline_beats_uniform_on_noise():
    train, held_out = noise(40_000, 0), noise(10_000, 1)
    rows = compute_ngram_baselines([ids(train)], [ids(held_out)]) + compute_compressor_baselines(
        [train.encode()], [held_out.encode()], len(held_out)
    )
    assert [row.name for row in rows][:3] == ["uniform", "unigram", "2-gram"] and len(rows) == 16
    for row in rows:
        assert row.nats_per_char > math.log(16) - 0.01
    assert rows[0].bits_per_char == pytest.approx(4) and rows[0].perplexity == pytest.approx(16)


def test_a_copy_of_training_text_costs_xz_nothing_however_far_back():
    held_out = noise(20_000, 0).encode()
    xz, bzip2 = compute_compressor_baselines([held_out, noise(950_000, 1).encode()], [held_out], 20_000)
    assert xz.nats_per_char < 0.03 and bzip2.nats_per_char > math.log(16)  # one was in another block of bzip2


def test_characters_that_train_lacks_are_one_more_of_the_alphabet():
    vocab = Vocab("abab")
    assert compute_ngram_baselines([vocab.encode("abab")], [vocab.encode("ab")])[0].nats_per_char == pytest.approx(
        math.log(2)
    )
    assert compute_ngram_baselines([vocab.encode("abab")], [vocab.encode("axyz")])[0].nats_per_char == pytest.approx(
        math.log(3)
    )


def test_only_the_end_of_a_long_training_part_is_read(monkeypatch):
    monkeypatch.setattr(baselines, "LIMIT", 1000)
    assert baselines.take_last(["abc", "defg"], 5) == ["c", "defg"] and baselines.take_last(["abc", "defg"], 4) == [
        "defg"
    ]
    train, held_out = ids(noise(5000, 0)), ids(noise(200, 1))
    assert compute_ngram_baselines([train], [held_out]) == compute_ngram_baselines([train[-1000:]], [held_out])


# The cache


def test_computed_baselines_are_read_from_the_cache(monkeypatch):
    first = compute_ngram_baselines([ids(TEXT)], [ids("the tide")])
    monkeypatch.setattr(baselines, "NGrams", None)
    assert compute_ngram_baselines([ids(TEXT)], [ids("the tide")]) == first
    for train, held_out in [([TEXT[:-1]], ["the tide"]), ([TEXT], ["the tides"]), ([TEXT[:9], TEXT[9:]], ["the tide"])]:
        with pytest.raises(TypeError):  # another text, or other pieces of it
            compute_ngram_baselines(list(map(ids, train)), list(map(ids, held_out)))
    monkeypatch.setattr(baselines, "METHOD", baselines.METHOD + 1)
    with pytest.raises(TypeError):
        compute_ngram_baselines([ids(TEXT)], [ids("the tide")])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-5],
        lambda data: b"",
        lambda data: b"[]",
        lambda data: b"{}",
        lambda data: b"\xff" + data,
        lambda data: data.replace(b"0", b"1", 1),
    ],
)
def test_a_damaged_cache_is_computed_again(own_cache, damage):
    first = compute_compressor_baselines([TEXT.encode()], [TEXT[:90].encode()], 90)
    (path,) = own_cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    assert (
        compute_compressor_baselines([TEXT.encode()], [TEXT[:90].encode()], 90) == first and path.read_bytes() == whole
    )


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, own_cache):
    first = compute_compressor_baselines([TEXT.encode()], [TEXT[:90].encode()], 90)
    monkeypatch.setenv("LSTMLM_CACHE", os.devnull)
    assert compute_compressor_baselines([TEXT.encode()], [TEXT[:90].encode()], 90) == first


# The command


def test_the_command_prints_a_row_for_each_and_marks_the_best_n_gram(command):
    code, out, err = command("baselines")
    assert (code, err) == (0, "")
    assert re.match(r"tide_clock\.txt, val: over 8,200 characters \(split 0\.9/0\.05/0\.05, hash [0-9a-f]{12}\)", out)
    (marked,) = [line for line in out.splitlines() if "the best n-gram" in line]
    assert re.match(r"Kneser-Ney order 6 +1\.2101 +1\.746 +3\.354 ", marked)
    assert re.search(r"^5-gram +1\.3126 +1\.894 +3\.716$", out, re.MULTILINE)


def test_overrides_and_options_come_in_any_order(command, tmp_path):
    (tmp_path / "my.txt").write_text(TEXT)
    path, split = f"data.path={tmp_path / 'my.txt'}", "data.split=[0.6,0.2,0.2]"
    orders = [
        ("data=file", "--json", path, "--split", "test", split),
        ("--split", "test", split, path, "data=file", "--json"),
        (path, "--split=test", "data=file", "--json", split),
    ]
    answers = [command("baselines", *words) for words in orders]
    assert answers[0] == answers[1] == answers[2] and answers[0][0] == 0
    answer = json.loads(answers[0][1])
    assert (answer["split"], answer["split_name"], answer["num_chars"]) == ("test", "0.6/0.2/0.2", 389)
    names = ["uniform", "unigram", "2-gram", "3-gram", "4-gram", "5-gram", "6-gram", "7-gram"]
    names += [f"Kneser-Ney order {order}" for order in range(2, 8)] + ["xz", "bzip2"]
    assert [row["name"] for row in answer["rows"]] == names
    kinds = ["uniform", "unigram", *["absolute discounting"] * 6, *["Kneser-Ney"] * 6, *["compressor"] * 2]
    assert [row["kind"] for row in answer["rows"]] == kinds
    nats = {row["name"]: row["nats_per_char"] for row in answer["rows"]}
    assert answer["train_chars"] == answer["train_chars_read"] == 1170
    assert min(nats[name] for name in names[2:-2]) == nats[answer["best_ngram"]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--spilt", "test"], r"lstmlm baselines: unrecognized arguments: --spilt: did you mean --split\?"),
        (["--split", "train"], r"lstmlm baselines: argument --split: invalid choice"),
        (["train.lrr=1"], r"train\.lrr: no such setting: did you mean train\.lr\?"),
        (["data=poems", "--json"], r"data=poems: no such option"),
        (["data.split=[0.9,0.1,0]", "--split", "test"], r"--split: test has 0 characters"),
    ],
)
def test_a_mistake_is_one_line(command, words, says):
    code, out, err = command("baselines", *words)
    assert (code, out) == (2, "") and re.fullmatch(rf"error: {says}.*\n", err), err


@pytest.mark.parametrize(
    ("split", "plain", "kneser_ney"),
    [("nanogpt", 1.716, 1.5165), ("torchrnn", 1.656, 1.4872), ("charrnn", 1.488, 1.3843)],
)
def test_the_figures_on_the_splits_of_published_numbers(command, split, plain, kneser_ney):
    path = shared_text("tiny_shakespeare.txt")
    answer = json.loads(command("baselines", "data=file", f"data.path={path}", f"data.split={split}", "--json")[1])
    nats = {row["name"]: row["nats_per_char"] for row in answer["rows"]}
    assert answer["best_ngram"] == "Kneser-Ney order 6"
    assert nats["5-gram"] == pytest.approx(plain, abs=0.01)
    assert nats["Kneser-Ney order 6"] == pytest.approx(kneser_ney, abs=1e-4)


# In a run


def rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_run_says_the_baseline_of_what_it_is_judged_on(train, tmp_path):
    code, out, _ = train(*RUN, "train.eval_chars=500", "hydra.run.dir=run")
    parts = read_corpus(composed_config().data).ids
    best = find_best_ngram(compute_ngram_baselines([parts["train"].numpy()], [parts["val"][:501].numpy()]))
    says = f"the best n-gram: {best.name}, {best.nats_per_char:.3f} nats, perplexity {best.perplexity:.3f}, over 500 "
    assert code == 0 and out.count("the best n-gram") == 1 and says in " ".join(out.split())
    assert [row.get("baseline/ngram") for row in rows(tmp_path / "run")] == [
        best.nats_per_char,
        best.nats_per_char,
        None,
    ]
    curves = EventAccumulator(str(tmp_path / "run")).Reload()
    level = {event.step: event.value for event in curves.Scalars("loss/ngram")}
    assert level == pytest.approx({20: best.nats_per_char, 40: best.nats_per_char})


def test_a_run_marks_once_that_the_model_passes_the_baseline(train, tmp_path, monkeypatch):
    """Whether it has is a matter of the best loss so far, so a run that goes on knows it."""
    losses = iter([1.8, 1.6, 1.9, 1.5])
    monkeypatch.setattr(evaluator, "score_with_bar", lambda model, pieces, about: Score(next(losses), 1))
    monkeypatch.setattr(execute, "find_best_ngram", lambda baselines: Baseline("Kneser-Ney order 9", "Kneser-Ney", 1.7))
    code, out, _ = train(*RUN, "train.max_steps=30", "train.eval_every=10", "hydra.run.dir=run")
    assert code == 0 and out.count("passes the best n-gram (Kneser-Ney order 9, 1.7000 nats)") == 1
    assert out.index("step 20 ") < out.index("passes the best") < out.index("step 30 ")
    code, out, _ = train("resume=run", "train.max_steps=40")
    assert code == 0 and "passes the best" not in out
    assert [row.get("baseline/passed") for row in rows(tmp_path / "run")] == [0, 1, 1, 1, None]


def test_a_run_can_do_without(train, tmp_path, own_cache):
    code, out, _ = train(*RUN, "train.baselines=false", "hydra.run.dir=run")
    assert code == 0 and "n-gram" not in out and not own_cache.exists()
    assert not [key for row in rows(tmp_path / "run") for key in row if key.startswith("baseline")]
