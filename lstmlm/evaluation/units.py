"""The units of a score: nats, bits, perplexity, per character and per byte."""

import math
from collections.abc import Mapping


def convert_to_bits(nats: float) -> float:
    return nats / math.log(2)


def compute_perplexity(nats_per_char: float) -> float:
    """exp(nats_per_char); inf where that exceeds the largest float."""
    try:
        return math.exp(nats_per_char)
    except OverflowError:
        return math.inf


def collect_units(nats_per_char: float, bytes_per_char: float) -> dict[str, float]:
    """A score in every unit, by the names that JSON output has."""
    bits_per_char = convert_to_bits(nats_per_char)
    return {
        "nats_per_char": nats_per_char,
        "bits_per_char": bits_per_char,
        "bits_per_byte": bits_per_char / bytes_per_char,
        "perplexity": compute_perplexity(nats_per_char),
    }


def format_units(units: Mapping[str, float]) -> str:
    """One line of what `collect_units` gives."""
    return (
        f"perplexity {units['perplexity']:.3f}, {units['bits_per_char']:.3f} bits per character, "
        f"{units['bits_per_byte']:.3f} per byte, {units['nats_per_char']:.4f} nats"
    )
