"""From logits to a character, in small pure functions. N = samples drawn together, V = vocab_size, W = window.

One draw: sample k of a call has a generator of its own, seeded seed + k; each character takes one float64
uniform number from it and inverts the cumulative distribution of the float64 probabilities. So a text depends
on the weights, the prompt, the settings and the seed, not on the backend or on what is drawn beside it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy import ndarray as Array

from lstmlm.settings.sampling import SamplingSettings

TINY = 1e-200  # a temperature that is as good as 0, and by which one can divide


def penalize(logits: Array, seen: Array, penalty: float) -> Array:
    """Divide the odds of each character in seen (W, N) by the penalty: logits (N, V) -> (N, V).

    After Keskar et al. 2019, who divide the logits themselves, and so depend on where their zero lies.
    """
    mask = np.zeros(logits.shape, dtype=bool)
    mask[np.arange(len(logits)), seen] = True
    return logits - np.log(penalty) * mask


def exponentiate(logits: Array, temperature: float) -> Array:
    """exp(logits / temperature), (N, V), up to a factor; temperature 0 is all on the largest."""
    if temperature == 0:
        return np.eye(logits.shape[1])[logits.argmax(-1)]
    shifted = logits - logits.max(-1, keepdims=True)
    shifted /= max(temperature, TINY)
    return np.exp(shifted, out=shifted)


def softmax(logits: Array) -> Array:
    """Softmax of logits (N, V)."""
    exps = exponentiate(logits, 1)
    return exps / exps.sum(-1, keepdims=True)


def sort_descending(probs: Array) -> Array:
    """The characters from the most probable one down, (N, V); of equal ones the first in the vocabulary first."""
    return np.argsort(-probs, axis=-1, kind="stable")


def top_k(probs: Array, k: int) -> Array:
    """The k most probable of probs (N, V); the others 0."""
    kept = probs.copy()
    np.put_along_axis(kept, sort_descending(probs)[:, k:], 0, -1)
    return kept


def top_p(probs: Array, p: float) -> Array:
    """The fewest, most probable characters that together have the share p (Holtzman et al. 2020); the others 0."""
    order, kept = sort_descending(probs), np.empty_like(probs)
    ordered = np.take_along_axis(probs, order, -1)
    rest = ordered[:, ::-1].cumsum(-1)[:, ::-1]  # the probability of each and of all that come after it
    surplus = rest <= (1 - p) * rest[:, :1]
    surplus[:, 0] = False  # the most probable one stays
    np.put_along_axis(kept, order, np.where(surplus, 0, ordered), -1)
    return kept


def min_p(probs: Array, p: float) -> Array:
    """Those at least p times as probable as the most probable one (Nguyen et al. 2024); the others 0."""
    return np.where(probs >= p * probs.max(-1, keepdims=True), probs, 0)


def compute_distribution(logits: Array, seen: Sequence[Array], settings: SamplingSettings) -> Array:
    """What the next character is drawn from: logits (N, V), W ids (N,) seen -> probabilities (N, V), up to a factor."""
    if settings.repetition_penalty != 1:
        logits = penalize(logits, np.array(seen), settings.repetition_penalty)
    probs = exponentiate(logits, settings.temperature)
    if settings.top_k is not None:
        probs = top_k(probs, settings.top_k)
    if settings.top_p < 1:
        probs = top_p(probs, settings.top_p)
    if settings.min_p > 0:
        probs = min_p(probs, settings.min_p)
    return probs


def draw(probs: Array, uniforms: Array) -> Array:
    """Invert the cumulative distribution: probs (N, V), up to a factor, and uniforms (N,) in [0, 1) -> ids (N,)."""
    cumulative = probs.cumsum(-1)
    return (cumulative > uniforms[:, None] * cumulative[:, -1:]).argmax(-1)  # the first that exceeds it


def draw_uniforms(seeds: Sequence[int], start: int = 0) -> Iterator[Array]:
    """Float64 uniform numbers in blocks (64, N), column k from sample k's own generator, from number `start` on.

    They are the numbers that single calls would give.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for generator in generators:
        torch.rand(start, dtype=torch.float64, generator=generator)
    while True:
        columns = [torch.rand(64, dtype=torch.float64, generator=generator) for generator in generators]
        yield torch.stack(columns, 1).numpy()
