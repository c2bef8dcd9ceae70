"""The draw: the effect of each setting on the distribution, and texts that are the model's own on every backend."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers.draws import SETTINGS, VOCAB, every_setting
from helpers.forms import every_form, make_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lstmlm.generation.from_model import generate, start_writer
from lstmlm.generation.sampling import (
    compute_distribution,
    draw,
    draw_uniforms,
    exponentiate,
    min_p,
    penalize,
    softmax,
    top_k,
    top_p,
)
from lstmlm.generation.writer import choose_first_character, write_pieces
from lstmlm.layers.registry import BACKENDS
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.text.vocab import Vocab

PROBS = np.array([0.0, 0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
LOGITS = np.random.default_rng(0).normal(size=(4, 9))


def texts(model, prompt: str, length: int, settings: SamplingSettings, seeds: list[int], stop=()) -> list[str]:
    """What follows the prompt in each sample, drawn in one batch."""
    gained = [
        gains for gains, _ in write_pieces(start_writer(model, VOCAB, prompt, settings, seeds), VOCAB, length, stop)
    ]
    return ["".join(piece or "" for piece in sample) for sample in zip(*gained, strict=True)]


def rows_of_uniforms(*arguments) -> Iterator[np.ndarray]:
    return itertools.chain.from_iterable(draw_uniforms(*arguments))


def shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(-1, keepdims=True)


# The distribution


def test_settings_at_their_neutral_values_leave_the_distribution_unchanged():
    plain = torch.softmax(torch.from_numpy(LOGITS), -1).numpy()
    np.testing.assert_allclose(softmax(LOGITS), plain, rtol=1e-14)
    idle = SamplingSettings(temperature=1, top_k=9, top_p=1, min_p=0, repetition_penalty=1)
    assert np.array_equal(compute_distribution(LOGITS, [], idle), exponentiate(LOGITS, 1))
    np.testing.assert_allclose(shares(exponentiate(LOGITS, 1)), plain, rtol=1e-14)


ANY_PROBS = arrays(np.float64, (2, 6), elements=st.floats(1e-30, 1)).map(shares)


@given(ANY_PROBS, st.integers(6, 99))
def test_top_k_of_all_and_top_p_of_1_and_min_p_of_0_keep_every_character(probs, k):
    for same in (top_k(probs, k), top_p(probs, 1), min_p(probs, 0)):
        assert np.array_equal(same, probs)


def test_temperature_zero_is_argmax_and_small_ones_approach_it():
    logits = np.stack([np.random.default_rng(k).permutation(9) for k in range(4)]).astype(np.float64)
    logits[:, 0] = -np.inf  # what is masked
    coldest = exponentiate(logits, 0)
    assert np.array_equal(coldest.argmax(-1), logits.argmax(-1)) and np.array_equal(coldest.sum(-1), [1] * 4)
    for temperature in (1e-2, 1e-45, 5e-324):
        np.testing.assert_allclose(exponentiate(logits, temperature), coldest, atol=1e-40)


def test_a_high_temperature_is_uniform():
    for temperature in (1e9, 1e308):
        np.testing.assert_allclose(exponentiate(LOGITS, temperature), 1, rtol=1e-7)


@given(ANY_PROBS, st.integers(1, 6))
def test_top_k_keeps_k_and_none_that_is_less_probable_than_one_it_drops(probs, k):
    for row, kept in zip(probs, top_k(probs, k), strict=True):
        assert (kept > 0).sum() == k and set(kept) <= {0, *row}
        assert kept[kept > 0].min() >= row[kept == 0].max(initial=0)


@given(ANY_PROBS, st.floats(1e-30, 1))
def test_top_p_keeps_the_fewest_that_together_have_p(probs, p):
    for row, kept in zip(probs, top_p(probs, p), strict=True):
        in_order, count = np.sort(row)[::-1], (kept > 0).sum()
        assert kept.max() == row.max() and set(kept) <= {0, *row}
        assert in_order[:count].sum() >= p - 1e-12
        assert in_order[: count - 1].sum() < p + 1e-12


@given(ANY_PROBS, st.floats(0, 0.999))
def test_min_p_keeps_what_is_at_least_that_part_of_the_most_probable(probs, p):
    assert np.array_equal(min_p(probs, p) > 0, probs >= p * probs.max(-1, keepdims=True))


def test_what_lies_on_the_edge_of_top_p_is_dropped_and_of_min_p_kept():
    probs = np.array([[0.125, 0.5, 0.25, 0.125]])  # exact in binary
    assert top_p(probs, 0.75).tolist() == [[0, 0.5, 0.25, 0]]
    assert min_p(probs, 0.25).tolist() == probs.tolist() and min_p(probs, 0.5).tolist() == [[0, 0.5, 0.25, 0]]


def test_a_penalty_divides_the_odds_of_what_was_seen_wherever_the_zero_of_the_logits_lies():
    seen = np.array([[1, 2, 3, 4], [1, 2, 5, 4]])  # of four samples; 1 twice counts once
    for shift in (-50, 0, 50):
        ratio = softmax(penalize(LOGITS + shift, seen, 4)) / softmax(LOGITS)
        np.testing.assert_allclose(ratio[0] / ratio[0, 0], [1, 1 / 4, 1, 1, 1, 1, 1, 1, 1], rtol=1e-9)
        np.testing.assert_allclose(ratio[2] / ratio[2, 0], [1, 1, 1, 1 / 4, 1, 1 / 4, 1, 1, 1], rtol=1e-9)


# (the setting, the probabilities that it makes of PROBS, from its definition)
FILTERED = {
    "nothing": (SamplingSettings(temperature=1), PROBS),
    "temperature 2": (SamplingSettings(temperature=2), PROBS**0.5),
    "top-k 3": (SamplingSettings(temperature=1, top_k=3), PROBS * [0, 1, 1, 1, 0, 0, 0]),
    "top-p 0.9": (SamplingSettings(temperature=1, top_p=0.9), PROBS * [0, 1, 1, 1, 1, 0, 0]),
    "min-p 0.2": (SamplingSettings(temperature=1, min_p=0.2), PROBS * [0, 1, 1, 1, 1, 0, 0]),
    "penalty 2": (SamplingSettings(temperature=1, repetition_penalty=2), PROBS / [1, 2, 1, 2, 1, 1, 1]),
    # top-p is of what top-k left: 0.4 and 0.3 of 0.85
    "top-k 3, top-p 0.8": (SamplingSettings(temperature=1, top_k=3, top_p=0.8), PROBS * [0, 1, 1, 0, 0, 0, 0]),
}


@pytest.mark.parametrize(("settings", "expected"), FILTERED.values(), ids=FILTERED)
def test_draws_follow_the_filtered_distribution(settings, expected):
    """Chi-square at one in a thousand; the seed is fixed."""
    at_one_in_a_thousand = {1: 10.8, 2: 13.8, 3: 16.3, 5: 20.5}  # by degrees of freedom
    count, seen = 20_000, [np.full(20_000, 1), np.full(20_000, 3)]
    with np.errstate(divide="ignore"):
        logits = np.log(PROBS)[None].repeat(count, 0)
    numbers = np.concatenate(list(itertools.islice(rows_of_uniforms([0]), count)))
    drawn = draw(compute_distribution(logits, seen, settings), numbers)
    counts, expected = np.bincount(drawn, minlength=7), count * shares(expected)
    possible = expected > 0
    assert not counts[~possible].any()
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert chi_square < at_one_in_a_thousand[possible.sum() - 1]


def test_the_ends_of_the_uniform_draw_what_is_possible():
    probs = np.array([[0.0, 0.5, 0.0, 0.5, 0.0]])
    assert draw(probs, np.array([0.0])) == 1
    assert draw(probs, np.array([1 - 2**-53])) == 3


def test_the_uniform_numbers_are_those_of_single_calls_to_each_generator_from_any_number_on():
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    single = [[torch.rand((), dtype=torch.float64, generator=one).item() for one in generators] for _ in range(200)]
    for start in (0, 1, 63, 64, 100):
        rows = itertools.islice(rows_of_uniforms([5, 6], start), 100)
        assert [row.tolist() for row in rows] == single[start : start + 100]


# The text


@every_setting
@every_form
def test_streamed_is_batched_is_one_full_forward(cell, backend, settings):
    model = make_model(backend, cell=cell, num_layers=2)
    batched = texts(model, "ab", 30, settings, [1, 2, 3, 4])
    assert [texts(model, "ab", 30, settings, [seed])[0] for seed in (1, 2, 3, 4)] == batched
    text, source = "ab" + batched[2], rows_of_uniforms([3])
    ids = VOCAB.encode(text)
    logits = model(torch.from_numpy(ids)[None, :-1])[0].detach().numpy()
    logits[:, VOCAB.unk] = -np.inf
    for at in range(2, len(text)):
        seen = [ids[k : k + 1] for k in range(max(0, at - settings.penalty_window), at)]
        assert VOCAB.decode(draw(compute_distribution(logits[at - 1 : at], seen, settings), next(source))) == text[at]


@every_setting
@pytest.mark.parametrize("cell", BACKENDS)
def test_every_backend_writes_the_same_text(cell, settings):
    models = [make_model(backend, torch.float32, cell=cell) for backend in BACKENDS[cell]]
    assert len({texts(model, "ab", 200, settings, [0])[0] for model in models}) == 1


def test_a_seed_fixes_the_text_and_another_changes_it():
    model = make_model("nn")
    assert generate(model, VOCAB, "a", 50, 1.0, 1) == generate(model, VOCAB, "a", 50, 1.0, 1)
    assert generate(model, VOCAB, "a", 50, 1.0, 1) != generate(model, VOCAB, "a", 50, 1.0, 2)


@every_setting
def test_a_text_in_turns_is_the_text_at_once_and_a_copy_continues_from_its_place(settings):
    model = make_model("nn")
    writer = start_writer(model, VOCAB, "ab", settings, [1])
    first = "".join(piece for (piece,), _ in write_pieces(writer, VOCAB, 20))
    place = writer.copy()
    second = "".join(piece for (piece,), _ in write_pieces(writer, VOCAB, 20))
    assert [first + second] == texts(model, "ab", 40, settings, [1])
    assert second == "".join(piece for (piece,), _ in write_pieces(place, VOCAB, 20))


@every_setting
def test_unk_is_never_drawn(settings):
    model = make_model("scratch")
    with torch.no_grad():
        model.b_q[VOCAB.unk] = 50.0
    assert "<unk>" not in texts(model, "a", 50, settings, [0])[0]


def test_an_empty_prompt_reads_as_a_line_end_or_else_the_most_frequent_character():
    model = make_model("scratch")
    assert generate(model, VOCAB, "", 20, 1.0, 0) == generate(model, VOCAB, "\n", 20, 1.0, 0)[1:]
    assert choose_first_character(Vocab("abb")) == "b"


def test_length_zero_is_the_prompt():
    assert generate(make_model("scratch"), VOCAB, "abc", 0, 1.0, 0) == "abc"


def test_a_sample_ends_with_its_first_stop_string_and_the_others_continue():
    model, settings, seeds = make_model("nn"), SamplingSettings(temperature=1), list(range(6))
    whole, stop = texts(model, "ab", 60, settings, seeds), ("dd", "ace")
    ended = texts(model, "ab", 60, settings, seeds, stop)
    for text, cut in zip(whole, ended, strict=True):
        ends = [text.index(one) + len(one) for one in stop if one in text]
        assert cut == text[: min(ends, default=60)]
    assert {cut == text for text, cut in zip(whole, ended, strict=True)} == {True, False}


def test_the_surprisals_of_a_text_are_the_cross_entropy_of_the_model_alone():
    model = make_model("nn")
    writer = start_writer(model, VOCAB, "ab", SETTINGS["all"], [1, 2])
    drawn = [one for _, one in write_pieces(writer, VOCAB, 30)]
    for k in range(2):
        ids = torch.from_numpy(np.concatenate([VOCAB.encode("ab"), [one.ids[k] for one in drawn]]))
        logits, _ = model(ids[None, :-1])
        expected = torch.nn.functional.cross_entropy(logits[1:], ids[2:], reduction="none").detach().numpy()
        np.testing.assert_allclose([one.surprisals[k] for one in drawn], expected, rtol=1e-10)


# (settings, what the line says)
MEANINGLESS = [
    ({"temperature": -1.0}, "temperature: must be 0 .*or more, got -1"),
    ({"temperature": float("nan")}, "temperature: must be 0"),
    ({"temperature": float("inf")}, "temperature: must be 0"),
    ({"top_k": 0}, "top_k: must be a whole number, 1 or more, got 0"),
    ({"top_p": 0.0}, "top_p: must be more than 0 and at most 1"),
    ({"top_p": 1.5}, "top_p: "),
    ({"min_p": 1.0}, "min_p: must be 0 or more and less than 1"),
    ({"min_p": float("nan")}, "min_p: "),
    ({"repetition_penalty": 0.0}, "repetition_penalty: must be more than 0"),
    ({"penalty_window": 0}, "penalty_window: must be a whole number, 1 or more"),
]


@pytest.mark.parametrize(("settings", "says"), MEANINGLESS, ids=str)
def test_a_sampling_setting_out_of_bounds_is_refused(settings, says):
    with pytest.raises(BadInput, match=says):
        SamplingSettings(**settings).check()


def test_control_characters_are_escaped_and_the_others_are_not():
    assert escape_controls("\x1b]0;x\x07\x9b\x7f\r\u202e") == "\\x1b]0;x\\x07\\x9b\\x7f\\r\\u202e"
    plain = "The tide,\n\tnaïve 中\u3000文 \N{WAVING HAND SIGN}"
    assert escape_controls(plain) == plain
