"""The evaluations of a run: validation loss, gate openings and a sample, and how they compare with what came before."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import Score, evaluate_pieces, take_first
from lstmlm.evaluation.scoring_bar import score_with_bar
from lstmlm.generation.from_model import generate, generate_documents
from lstmlm.model.gates import collect_gate_openings
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.text.vocab import Vocab
from lstmlm.training.progress import PREVIEW_CHARS
from lstmlm.training.tags import make_baseline_tags, make_score_tags

GATE_CHARS = 1000  # of the validation text: the gates are averaged over them


@dataclass(frozen=True)
class SampleSettings:
    """The text that a model writes at each evaluation: always from the same prompt and seed."""

    vocab: Vocab
    prompt: str
    length: int  # characters after the prompt
    temperature: float
    seed: int
    separator: str | None = None  # between documents; None: the text is one stream

    def write(self, model: RNNModel) -> str:
        """The prompt and what the model writes after it; or documents that begin with the prompt."""
        if self.separator is not None:
            draw = SamplingSettings(temperature=self.temperature)
            return generate_documents(model, self.vocab, self.prompt, self.length, draw, self.seed, self.separator)
        return generate(model, self.vocab, self.prompt, self.length, self.temperature, self.seed)


@dataclass(frozen=True)
class Evaluation:
    val: Score
    tags: dict[str, float]  # the figures under the names that they have in metrics.jsonl and TensorBoard
    sample: str
    is_best: bool  # a lower validation loss than every evaluation before
    passed: Baseline | None  # the best n-gram, if this validation loss is the first one below its


class Evaluator:
    """Scores `val_pieces`, each (n,), as streams of their own, and compares with the best n-gram if one is given."""

    def __init__(self, val_pieces: list[Tensor], baseline: Baseline | None, sample: SampleSettings) -> None:
        self.val_pieces, self.baseline, self.sample = val_pieces, baseline, sample

    def evaluate(self, model: RNNModel, lowest: float) -> Evaluation:
        """Evaluate a model; `lowest` is the lowest validation loss of the run so far, in nats per character."""
        val = score_with_bar(model, self.val_pieces, "scoring val")
        loss, baseline = val.nats_per_char, self.baseline
        tags = make_score_tags("val", val) | self.measure_gates(model)
        if baseline is not None:
            tags |= make_baseline_tags(baseline, min(loss, lowest))
        return Evaluation(
            val,
            tags,
            self.sample.write(model),
            is_best=loss < lowest,
            passed=baseline if baseline is not None and loss < baseline.nats_per_char <= lowest else None,
        )

    def preview(self, model: RNNModel) -> tuple[Score, str]:
        """The score of the start of the validation text, and a sample."""
        return evaluate_pieces(model, take_first(self.val_pieces, PREVIEW_CHARS)), self.sample.write(model)

    def measure_gates(self, model: RNNModel) -> dict[str, float]:
        """The mean opening of every gate of every layer, over the start of the validation text."""
        ids = torch.cat(take_first(self.val_pieces, GATE_CHARS))[None, :GATE_CHARS].to(model.W_hq.device).long()
        openings = enumerate(collect_gate_openings(model, ids))
        return {f"gates/layer{k}_{gate}": o.mean().item() for k, gates in openings for gate, o in gates.items()}
