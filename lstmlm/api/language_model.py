"""A trained model in Python: `from lstmlm import load`."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lstmlm.api import arguments
from lstmlm.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lstmlm.evaluation.given_text import read_typed_text
from lstmlm.evaluation.scoring import Score, evaluate
from lstmlm.evaluation.units import compute_perplexity
from lstmlm.generation.documents import list_ends
from lstmlm.generation.from_model import start_writer
from lstmlm.generation.writer import write_sample
from lstmlm.inspection.ablation import hold_unit
from lstmlm.inspection.gate_trace import Trace, trace_gates
from lstmlm.inspection.page_file import write_page
from lstmlm.inspection.units import Unit, find_units
from lstmlm.runs.find import find_weights
from lstmlm.runs.prepare import pick_device
from lstmlm.settings.config import SETTINGS
from lstmlm.settings.sampling import SamplingOptions, SamplingSettings
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.paths import expand_path
from lstmlm.text.labels import choose_begin
from lstmlm.text.oov import check_text, make_readable
from lstmlm.text.vocab import BOUNDARY, MARKS

if TYPE_CHECKING:
    from typing_extensions import Unpack

# The arguments of `stream` besides the sampling settings
NAMES = ("prompt", "length", "seed", "stop", "oov", "label", "guidance")


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
        self.record = loaded.record

    def stream(
        self,
        prompt: str = "",
        length: float = 500,
        *,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        oov: str = "error",
        label: str | None = None,
        guidance: float = 0.0,
        **settings: "Unpack[SamplingOptions]",
    ) -> Iterator[str]:
        """Yield the text that follows the prompt, piece by piece, as it is drawn.

        Args:
            prompt: the text to continue.
            length: the number of characters to draw, or math.inf.
            seed: fixes the text.
            stop: end the text after this string, or after the first of several.
            oov: for characters of the prompt that the vocabulary lacks: `error` raises BadInput, `skip` leaves them
                out, `unk` reads them as <unk>.
            label: of a model of labelled documents (data.label): the label of the document; the first, if left out.
            guidance: more typical of the label, as far as this weight says; 0: the model's own text.
            settings: temperature, top_k, top_p, min_p, repetition_penalty, penalty_window (SamplingSettings).
        """
        arguments.check_names(settings, NAMES)
        length, seed = arguments.check_length(length), arguments.check_seed(seed)
        ends = tuple(read_typed_text(self.record, end) for end in arguments.check_stop(stop))
        for end in ends:
            check_text(self.vocab, end, "stop", "no text can end there")
        draw = SamplingSettings(**settings).check()
        begin = choose_begin(self.vocab, label)
        guidance = arguments.check_guidance(guidance, self.model.num_labels)
        writer = start_writer(self.model, self.vocab, self._read(prompt, oov), draw, [seed], begin, guidance)
        drawn = write_sample(writer, self.vocab, length, list_ends(self.vocab, ends))
        return (piece for piece, _ in drawn if piece not in MARKS)

    def generate(
        self,
        prompt: str = "",
        length: float = 500,
        *,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        oov: str = "error",
        label: str | None = None,
        guidance: float = 0.0,
        **settings: "Unpack[SamplingOptions]",
    ) -> str:
        """The prompt and the text that follows it. The arguments are those of `stream`."""
        text = "".join(
            self.stream(prompt, length, seed=seed, stop=stop, oov=oov, label=label, guidance=guidance, **settings)
        )
        return self._read(prompt, oov) + text

    def score(self, text: str, label: str | None = None) -> Score:
        """The cost of every character of a text but the first: nats, nats_per_char, bits_per_char, perplexity.

        For a model of documents the text is one document, with a `label` as in `stream`: its first character and its
        end are scored too. Characters that the vocabulary lacks are scored as <unk>.
        """
        typed = read_typed_text(self.record, arguments.check_string("text", text))
        begin = choose_begin(self.vocab, label)
        ids = self.vocab.encode(begin + typed + BOUNDARY * bool(begin))
        if len(ids) < 2:
            raise BadInput(f"text: has {len(ids)} characters: scoring needs at least 2")
        return evaluate(self.model, torch.from_numpy(ids).to(self.model.W_hq.device))

    def trace(self, text: str, layer: int = 0) -> Trace:
        """The gates and states of an LSTM's layer, counted from 0, at every character of a text, from the zero state.

        `print` it for a table, `plot` it for heat maps; `columns` has the numbers, each a tensor (characters, units).
        """
        readable = check_text(self.vocab, read_typed_text(self.record, arguments.check_string("text", text)), "text")
        layer = arguments.check_layer(layer)
        if not readable:
            raise BadInput("text: is empty: give a text of one character or more")
        ids = self.vocab.encode(readable)
        on_device = torch.from_numpy(ids).to(self.model.W_hq.device)
        return trace_gates(self.model, on_device, [self.vocab.decode([idx]) for idx in ids], layer, "layer")

    def units(self, text: str) -> list[Unit]:
        """What every cell and hidden state tracks in a text, those that follow a feature of it most closely first.

        Features are such as "inside quotation marks" or "position in the line". A unit's feature is chosen on the first
        half of the text; its `r` is the correlation on the second half. BadInput for a text of under 500 characters.
        """
        ids = self.vocab.encode(read_typed_text(self.record, arguments.check_string("text", text)))
        return find_units(self.model, self.vocab, torch.from_numpy(ids))

    def ablate(self, layer: int, unit: int, value: float = 0.0) -> "LanguageModel":
        """The same model with one hidden unit held at a value, for everything that reads it.

        `score` then tells what a text costs without the unit. Its mean is a better value than 0: `units` has it (the
        `mean` of part H). BadInput if the model has no such unit.
        """
        twin = copy.copy(self)
        twin.model = hold_unit(self.model, arguments.check_layer(layer), unit, value)
        return twin

    def page(
        self,
        path: str | Path = "model.html",
        *,
        weights: str | None = None,
        title: str | None = None,
        prompt: str | None = None,
    ) -> Path:
        """Write one HTML file that runs the model in a browser, without a network, and return its path.

        Args:
            path: the file.
            weights: the form in which the page stores the weights: float32, bf16 or int8; None: float32, of more than
                1.2 million parameters bf16.
            title: None: the name of the run's text.
            prompt: what the page's text begins with; None: what the run's samples begin with.
        """
        out = Path(expand_path(path, "page"))
        if not out.parent.is_dir():
            raise BadInput(f"page: no such folder: {out.parent}: make it first")
        for name, text in (("weights", weights), ("title", title), ("prompt", prompt)):
            arguments.check_string(name, text or "")
        write_page(self.model, self.vocab, self.record, out, weights, title, prompt)
        return out

    def _read(self, prompt: str, oov: str) -> str:
        """The prompt as the model reads it."""
        typed = read_typed_text(self.record, arguments.check_string("prompt", prompt))
        return make_readable(self.vocab, typed, oov, "prompt")

    def __repr__(self) -> str:
        config, record = self.model.config, self.record
        parts = [
            f"{config.cell.upper()}, {config.num_layers} x {config.num_hiddens} units, {config.vocab_size} symbols"
        ]
        parts.append(f"trained on {record['data']['name']}, {record['step']:,} steps")
        if (nats := record["metrics"].get("loss/val")) is not None:
            parts.append(f"val {nats:.4f} nats, perplexity {compute_perplexity(nats):.3f}")
        return escape_controls(f"LanguageModel({'; '.join(parts)})")


def load(run_or_checkpoint: str | Path, backend: str | None = None, device: str = "cpu") -> LanguageModel:
    """Load a trained model.

    Args:
        run_or_checkpoint: a run directory, whose best weights are loaded; a .safetensors file; or `latest`, the latest
            run in runs/.
        backend: compute on this backend (scratch, nn, cell, fused); None: on the one that trained the model.
        device: where to compute: cpu, cuda, mps.

    Raises BadInput if the file is missing or refused, or the backend or the device is not there.
    """
    if not isinstance(run_or_checkpoint, (str, Path)):
        raise arguments.refuse("run_or_checkpoint", "a path", run_or_checkpoint)
    if backend is not None:
        SETTINGS["backend"].check("backend", backend)
    SETTINGS["device"].check("device", arguments.check_string("device", device).partition(":")[0])
    pick_device(device.partition(":")[0])
    path = find_weights(expand_path(run_or_checkpoint, "load"))
    return LanguageModel(load_checkpoint(path), backend, device)
