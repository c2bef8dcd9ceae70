"""The program in Python: `from lstmlm import load`."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lstmlm.checkpoints.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from lstmlm.evaluation.held_out import read_typed_text
from lstmlm.evaluation.scoring import Score, evaluate
from lstmlm.generation.writer import start_writer, write_sample
from lstmlm.inspection.ablation import hold_unit
from lstmlm.inspection.units import Unit, find_units
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path
from lstmlm.text.oov import check_text, make_readable


class LanguageModel:
    """A trained model with its vocabulary, as `load` returns it.

    A mistake in an argument raises BadInput, a ValueError whose message is one line.

    Attributes:
        model: the RNNModel.
        vocab: its Vocab.
        record: the checkpoint's record of the run.
    """

    def __init__(self, loaded: Checkpoint, backend: str | None, device: str) -> None:
        self.model, self.vocab = loaded.build(backend, device)
        self.record, self._loaded = loaded.record, loaded

    def stream(
        self,
        prompt: str = "",
        length: float = 500,
        *,
        seed: int = 0,
        stop: str | tuple[str, ...] = (),
        oov: str = "error",
        **settings: Any,
    ) -> Iterator[str]:
        """Yield the text that follows the prompt, piece by piece, as it is drawn.

        Args:
            prompt: the text to continue.
            length: the number of characters to draw, or math.inf.
            seed: fixes the text.
            stop: end the text after this string, or after the first of several.
            oov: for characters of the prompt that the vocabulary lacks: `error` raises BadInput, `skip` leaves them
                out, `unk` reads them as <unk>.
            settings: temperature, top_k, top_p, min_p, repetition_penalty, penalty_window (SamplingSettings).
        """
        if length < 0:
            raise BadInput(f"length: must be 0 or more, got {length}")
        stop = tuple(read_typed_text(self._loaded, one) for one in ((stop,) if isinstance(stop, str) else stop))
        prompt = read_typed_text(self._loaded, prompt)
        if "" in stop:
            raise BadInput("stop: is empty: give what the text should end with")
        for end in stop:
            check_text(self.vocab, end, "stop", "no text can end there")
        draw = SamplingSettings(**settings).check()
        readable = make_readable(self.vocab, prompt, oov, "prompt")
        writer = start_writer(self.model, self.vocab, readable, draw, [seed])
        return (piece for piece, _ in write_sample(writer, self.vocab, length, stop))

    def generate(self, prompt: str = "", length: float = 500, *, oov: str = "error", **options: Any) -> str:
        """The prompt and the text that follows it. The arguments are those of `stream`."""
        prompt = read_typed_text(self._loaded, prompt)
        text = "".join(self.stream(prompt, length, oov=oov, **options))
        return make_readable(self.vocab, prompt, oov, "prompt") + text

    def score(self, text: str) -> Score:
        """The cost of every character of a text but the first: nats, nats_per_char, bits_per_char, perplexity.

        Characters that the vocabulary lacks are scored as <unk>.
        """
        ids = self.vocab.encode(read_typed_text(self._loaded, text))
        if len(ids) < 2:
            raise BadInput(f"text: has {len(ids)} characters: scoring needs at least 2")
        return evaluate(self.model, torch.from_numpy(ids).to(self.model.W_hq.device))

    def units(self, text: str) -> list[Unit]:
        """What every cell and hidden state tracks in a text, those that follow a feature of it most closely first.

        Features are such as "inside quotation marks" or "position in the line". A unit's feature is chosen on the first
        half of the text; its `r` is the correlation on the second half. BadInput for a text of under 500 characters.
        """
        return find_units(
            self.model, self.vocab, torch.from_numpy(self.vocab.encode(read_typed_text(self._loaded, text)))
        )

    def ablate(self, layer: int, unit: int, value: float = 0.0) -> "LanguageModel":
        """The same model with one hidden unit held at a value, for everything that reads it.

        `score` then tells what a text costs without the unit. Its mean is a better value than 0: `units` has it (the
        `mean` of part H). BadInput if the model has no such unit.
        """
        twin = copy.copy(self)
        twin.model = hold_unit(self.model, layer, unit, value)
        return twin


def load(run_or_checkpoint: str | Path, backend: str | None = None, device: str = "cpu") -> LanguageModel:
    """Load a trained model.

    Args:
        run_or_checkpoint: a run directory, whose best weights are loaded, or a .safetensors file.
        backend: compute on this backend; None: on the one that trained the model.
        device: where to compute: cpu, cuda, mps.

    Raises BadInput if the file is missing or refused.
    """
    path = find_checkpoint(expand_path(run_or_checkpoint, "load"))
    return LanguageModel(load_checkpoint(path), backend, device)
