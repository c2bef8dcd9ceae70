"""From logits to text, in small pure functions. N = samples drawn together, V = vocab_size.

One draw: sample k of a call has a generator of its own, seeded seed + k; each character takes one float64
uniform number from it and inverts the cumulative distribution of the float64 probabilities. So a text depends
on the weights, the prompt, the settings and the seed, not on the backend or on what is drawn beside it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lstmlm.errors import BadInput
from lstmlm.model import RNNModel
from lstmlm.vocab import Vocab


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Softmax of logits (N, V) / temperature, in float64; temperature 0 is all on the largest."""
    logits = logits.double()
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
    # Shifted first: the division may otherwise overflow for a tiny temperature
    return torch.softmax((logits - logits.amax(-1, keepdim=True)) / temperature, -1)


def draw(probs: Tensor, uniforms: Tensor) -> Tensor:
    """Invert the cumulative distribution: probs (N, V), uniforms (N,) in [0, 1) -> ids (N,)."""
    cumulative = probs.cumsum(-1)
    below = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, below, right=True)[:, 0]


def check_text(vocab: Vocab, text: str, what: str) -> str:
    """The text, or BadInput that names the first character that the vocabulary lacks."""
    if unknown := vocab.unknown(text):
        position, char = unknown[0]
        more = f" ({len(unknown)} such characters in all)" if len(unknown) > 1 else ""
        raise BadInput(
            f"{what}: character {char!a} (U+{ord(char):04X}) at position {position} is not in the "
            f"vocabulary{more}: leave it out, or train on a text that has it"
        )
    return text


def check_temperature(temperature: float, what: str) -> float:
    if not 0 <= temperature < float("inf"):
        raise BadInput(f"{what}: must be 0 (always the most probable character) or more, got {temperature}")
    return temperature


def first_character(vocab: Vocab) -> str:
    """What an empty prompt is read as: a line end, or without one the most frequent character."""
    return "\n" if "\n" in vocab.token_to_idx else vocab.to_tokens(1)


@torch.no_grad()
def stream(
    model: RNNModel, vocab: Vocab, prompt: str, length: int, temperature: float, seeds: list[int]
) -> Iterator[list[str]]:
    """Yield `length` times the next character of each of N = len(seeds) samples.

    The prompt goes first through the model, from the zero state (the book's warm-up); an empty one is
    `first_character`. `<unk>` is never drawn.
    """
    model.eval()
    device = model.W_hq.device
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    ids = torch.from_numpy(vocab.encode(prompt or first_character(vocab))).to(device)
    ids, state = ids.expand(len(seeds), -1), None
    for _ in range(length):
        logits, state = model(ids, state)
        logits = logits[-len(seeds) :].cpu()  # the last step's rows: logits are time-major
        logits[:, vocab.unk] = -torch.inf
        uniforms = [torch.rand((), dtype=torch.float64, generator=generator) for generator in generators]
        drawn = draw(probabilities(logits, temperature), torch.stack(uniforms))
        ids = drawn[:, None].to(device)
        yield vocab.to_tokens(drawn)


def generate(model: RNNModel, vocab: Vocab, prompt: str, length: int, temperature: float, seed: int) -> str:
    """The prompt and `length` characters more."""
    return prompt + "".join(char for (char,) in stream(model, vocab, prompt, length, temperature, [seed]))
