"""The units of a score follow from its nats, and a perplexity that no float can hold is inf."""

import math

import pytest

from lstmlm.commands.compare import convert_units
from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import collect_units, compute_perplexity, format_units


def test_a_perplexity_that_no_float_can_hold_is_inf_wherever_it_is_computed():
    assert compute_perplexity(709) == math.exp(709)
    assert compute_perplexity(710) == compute_perplexity(math.inf) == math.inf
    assert Score(710.0, 1).perplexity == Baseline("x", "uniform", 710.0).perplexity == math.inf
    assert convert_units(710.0)["perplexity"] == math.inf
    assert math.isnan(compute_perplexity(math.nan))


def test_the_units_of_a_score_in_characters_of_two_bytes():
    units = collect_units(2 * math.log(2), 2)
    assert units == {
        "nats_per_char": 2 * math.log(2),
        "bits_per_char": 2,
        "bits_per_byte": 1,
        "perplexity": pytest.approx(4),
    }
    assert format_units(units) == "perplexity 4.000, 2.000 bits per character, 1.000 per byte, 1.3863 nats"
