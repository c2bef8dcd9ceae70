"""Sampling from a model in memory: a Stepper has its weights, and prompts go through its own forward.

N = samples drawn together, n = characters of the prompt, V = vocab_size.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import torch

from lstmlm.generation.conditioning import condition_on, make_stepper
from lstmlm.generation.documents import encode_prompt, list_ends
from lstmlm.generation.native_stepper import State
from lstmlm.generation.stepper import CHUNK, Stepper
from lstmlm.generation.writer import Writer, write_sample
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.arrays import Floats, Ids
from lstmlm.text.labels import choose_begin
from lstmlm.text.vocab import MARKS, Vocab


class ModelStepper(Stepper):
    """A Stepper on copies of a model's weights, which later training does not change, and the model itself for prompts.

    Weights on another device are copied to the CPU, which is faster for a few samples.
    """

    def __init__(self, model: RNNModel) -> None:
        super().__init__(model.config.cell, copy_weights(model), model.config.num_layers)
        self.model = model

    def read(self, ids: Ids, state: State | None) -> tuple[Floats, State]:
        """As Stepper's, through the model's forward, on its backend and device: fast for long prompts."""
        return read_prompt(self.model, ids, state)


def make_backend_stepper(
    config: ModelConfig, weights: Mapping[str, Floats], vocab: Vocab, begin: str, backend: str
) -> ModelStepper:
    """The steps of the model with these weights, under the book's names, on documents that begin with `begin`; prompts
    go through the model on a backend.
    """
    weights = condition_on(config, weights, vocab, begin)
    model = RNNModel(config, backend).eval()
    model.load_book_weights({name: torch.from_numpy(array) for name, array in weights.items()})
    return ModelStepper(model)


def copy_weights(model: RNNModel) -> dict[str, Floats]:
    """Copies of the model's weights under the book's names, on the CPU."""
    return {name: tensor.cpu().numpy() for name, tensor in model.book_weights().items()}


@torch.inference_mode()
def read_prompt(model: RNNModel, ids: Ids, state: State | None) -> tuple[Floats, State]:
    """Read ids (n,), n >= 1, into every sample -> the logits of the next character, (N, V), and the state after them.

    A state of None is the zero state of one sample.
    """
    device, N = model.W_hq.device, 1
    carried: tuple[torch.Tensor, ...] | None = None
    if state is not None:
        N = len(state[0][0])
        carried = tuple(torch.from_numpy(np.stack(part)).to(device) for part in zip(*state, strict=True))
    with evaluation_mode(model):
        for start in range(0, len(ids), CHUNK):
            X = torch.from_numpy(ids[start : start + CHUNK]).to(device)
            logits, carried = model(X.expand(N, -1), carried)
    assert carried is not None, "the prompt is empty"
    return logits[-N:].cpu().numpy(), list(zip(*(part.cpu().numpy() for part in carried), strict=True))


def start_writer(
    model: RNNModel,
    vocab: Vocab,
    prompt: str,
    settings: SamplingSettings,
    seeds: list[int],
    begin: str | None = None,
    guidance: float = 0.0,
) -> Writer:
    """A Writer that has read the prompt; of documents after the symbol `begin` (text/labels.py: choose_begin).

    `guidance` is the weight of guidance.py, for a model with labels.
    """
    begin = choose_begin(vocab) if begin is None else begin
    if model.num_labels:
        stepper = make_stepper(model.config, copy_weights(model), vocab, begin, guidance=guidance)
    else:
        stepper = ModelStepper(model)
    writer = Writer(stepper, settings, seeds, vocab.unk)
    writer.read(encode_prompt(vocab, prompt, begin))
    return writer


def generate(model: RNNModel, vocab: Vocab, prompt: str, length: int, temperature: float, seed: int) -> str:
    """The prompt and `length` characters that follow it."""
    writer = start_writer(model, vocab, prompt, SamplingSettings(temperature=temperature), [seed])
    return prompt + "".join(piece for piece, _ in write_sample(writer, vocab, length))


def generate_documents(
    model: RNNModel, vocab: Vocab, prompt: str, length: int, settings: SamplingSettings, seed: int, separator: str
) -> str:
    """Documents that all begin with the prompt, of the seeds from `seed` on, until they have `length` characters.

    With labels they are of each label in turn.
    """
    begins = list(vocab.labels.values()) or [choose_begin(vocab)]
    begun = [start_writer(model, vocab, prompt, settings, [seed], begin) for begin in begins]
    turns = zip(itertools.cycle(begun), itertools.count(seed), strict=False)
    text = ""
    while len(text) < length:
        start, own_seed = next(turns)
        writer = start.copy()
        writer.seeds = [own_seed]
        text += separator * bool(text) + prompt
        room = max(1, length - len(text))
        text += "".join(piece for piece, _ in write_sample(writer, vocab, room, list_ends(vocab)) if piece not in MARKS)
    return text
