"""From logits to a character, in small pure functions.

N = samples drawn together, V = vocab_size, W = penalty_window.

One draw: sample k of a call has its own generator, seeded seed + k; each character takes one float64 uniform number
from it and inverts the cumulative distribution of the float64 probabilities. So a text depends on the weights, the
prompt, the settings and the seed, not on the backend or on the samples drawn beside it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.arrays import Floats, Ids

SMALLEST_TEMPERATURE = 1e-200  # gives what 0 gives, and can be divided by


def penalize(logits: Floats, seen: Ids, penalty: float) -> Floats:
    """Divide the odds of each character in seen (W, N) by the penalty: logits (N, V) -> (N, V).

    After Keskar et al. 2019, who divide the logits themselves; their result changes when a constant is added to all
    logits, which means the same distribution.
    """
    mask = np.zeros(logits.shape, dtype=bool)
    mask[np.arange(len(logits)), seen] = True
    penalized: Floats = logits - np.log(penalty) * mask
    return penalized


def exponentiate(logits: Floats, temperature: float) -> Floats:
    """exp(logits / temperature), (N, V), up to a factor; at temperature 0 the largest gets 1 and the others 0."""
    if temperature == 0:
        coldest: Floats = np.eye(logits.shape[1])[logits.argmax(-1)]
        return coldest
    exps: Floats = logits - logits.max(-1, keepdims=True)
    exps /= max(temperature, SMALLEST_TEMPERATURE)
    return np.exp(exps, out=exps)


def softmax(logits: Floats) -> Floats:
    """Softmax of logits (N, V)."""
    exps = exponentiate(logits, 1)
    probs: Floats = exps / exps.sum(-1, keepdims=True)
    return probs


def sort_descending(probs: Floats) -> Ids:
    """The ids by falling probability, (N, V); those of equal probability in the order of the vocabulary."""
    return np.argsort(-probs, axis=-1, kind="stable")


def top_k(probs: Floats, k: int) -> Floats:
    """Keep the k most probable of probs (N, V); the others become 0."""
    kept = probs.copy()
    np.put_along_axis(kept, sort_descending(probs)[:, k:], 0, -1)
    return kept


def top_p(probs: Floats, p: float) -> Floats:
    """Keep the fewest, most probable characters that together have the share p of probs (N, V); the others become 0.

    Holtzman et al. 2020.
    """
    order, kept = sort_descending(probs), np.empty_like(probs)
    ordered = np.take_along_axis(probs, order, -1)
    rest = ordered[:, ::-1].cumsum(-1)[:, ::-1]  # the probability of each character and all after it
    surplus = rest <= (1 - p) * rest[:, :1]
    surplus[:, 0] = False  # the most probable character stays
    np.put_along_axis(kept, order, np.where(surplus, 0, ordered), -1)
    return kept


def min_p(probs: Floats, p: float) -> Floats:
    """Keep those of probs (N, V) that are at least p times the largest; the others become 0. Nguyen et al. 2024."""
    return np.where(probs >= p * probs.max(-1, keepdims=True), probs, 0)


def compute_distribution(logits: Floats, seen: Sequence[Ids] | Ids, settings: SamplingSettings) -> Floats:
    """The distribution that the next character is drawn from, (N, V), up to a factor.

    From logits (N, V) and the characters that the repetition penalty is on, seen, (W, N).
    """
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


def draw(probs: Floats, uniforms: Floats) -> Ids:
    """Invert the cumulative distribution: probs (N, V), up to a factor, and uniforms (N,) in [0, 1) -> ids (N,)."""
    cumulative = probs.cumsum(-1)
    ids: Ids = (cumulative > uniforms[:, None] * cumulative[:, -1:]).argmax(-1)  # the first that exceeds it
    return ids


def draw_uniforms(seeds: Sequence[int], start: int = 0) -> Iterator[Floats]:
    """Yield float64 uniform numbers in blocks (64, N), column k from the generator of sample k, from number `start` on.

    They are the numbers that the generator would give one at a time.
    """
    generators = [np.random.RandomState(seed & 0xFFFFFFFF) for seed in seeds]
    for generator in generators:
        take_uniforms(generator, start)
    while True:
        yield np.stack([take_uniforms(generator, 64) for generator in generators], axis=1)


def take_uniforms(generator: np.random.RandomState, n: int) -> Floats:
    """The next n numbers, (n,): those of torch.rand in float64 from a torch.Generator of the same seed.

    Both are a Mersenne twister, of which torch takes the lower 32 bits of the seed. A number is the lower 53 of the 64
    bits of two words.
    """
    words = generator.randint(1 << 32, size=(n, 2), dtype=np.uint32).astype(np.uint64)
    bits = (words[:, 0] << np.uint64(32) | words[:, 1]) & np.uint64((1 << 53) - 1)
    uniforms: Floats = bits.astype(np.float64) * 2.0**-53
    return uniforms
