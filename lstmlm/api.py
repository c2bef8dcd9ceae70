"""A trained model in Python: `from lstmlm import load`."""

from collections.abc import Iterator
from pathlib import Path

import torch

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation.held_out import read_typed_text
from lstmlm.evaluation.scoring import Score, evaluate
from lstmlm.generation.writer import start_writer, write_pieces
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path
from lstmlm.text.oov import check_text, make_readable


class LanguageModel:
    """What `load` gives. Mistakes are BadInput, a ValueError, in one line.

    `model` is the RNNModel, `vocab` its vocabulary, `record` what the checkpoint says of the run.
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
        **settings: float,
    ) -> Iterator[str]:
        """What follows the prompt, as it comes: `length` characters (or math.inf), or up to a `stop` string.

        Settings: temperature, top_k, top_p, min_p, repetition_penalty, penalty_window (SamplingSettings). `oov`: what
        the vocabulary lacks of the prompt is an `error`, or it is left out (`skip`), or read as <unk> (`unk`).
        """
        if length < 0:
            raise BadInput(f"length: must be 0 or more, got {length}")
        stop = tuple(read_typed_text(self._loaded, one) for one in ((stop,) if isinstance(stop, str) else stop))
        prompt = read_typed_text(self._loaded, prompt)
        if "" in stop:
            raise BadInput("stop: is empty: give what the text should end with")
        for one in stop:
            check_text(self.vocab, one, "stop", "no text can end there")
        draw = SamplingSettings(**settings).check()
        writer = start_writer(self.model, self.vocab, make_readable(self.vocab, prompt, oov, "prompt"), draw, [seed])
        return (piece for (piece,), _ in write_pieces(writer, self.vocab, length, stop))

    def generate(self, prompt: str = "", length: float = 500, *, oov: str = "error", **options) -> str:
        """The prompt and what follows it, whole. The options are those of `stream`."""
        prompt = read_typed_text(self._loaded, prompt)
        text = "".join(self.stream(prompt, length, oov=oov, **options))
        return make_readable(self.vocab, prompt, oov, "prompt") + text

    def score(self, text: str) -> Score:
        """What the text costs, every character but the first: nats, nats_per_char, bits_per_char, perplexity.

        What the vocabulary lacks is scored as <unk>.
        """
        ids = self.vocab.encode(read_typed_text(self._loaded, text))
        if len(ids) < 2:
            raise BadInput(f"text: has {len(ids)} characters: scoring needs at least 2")
        return evaluate(self.model, torch.from_numpy(ids).to(self.model.W_hq.device))


def load(run_or_checkpoint: str | Path, backend: str | None = None, device: str = "cpu") -> LanguageModel:
    """The best weights of a run directory, or a .safetensors file; on the backend that trained them, or another."""
    path = checkpoint.find_checkpoint(expand_path(run_or_checkpoint, "load"))
    return LanguageModel(checkpoint.load_checkpoint(path), backend, device)
