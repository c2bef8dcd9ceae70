"""What a run shows and records as it goes: the screen, the log, TensorBoard curves and metrics.jsonl."""

import logging
from pathlib import Path
from typing import Any

from lstmlm.evaluation.scoring import Score
from lstmlm.training import metrics
from lstmlm.training.metrics import RunState
from lstmlm.training.progress import Progress
from lstmlm.training.tags import make_score_tags
from lstmlm.training.tensorboard import Curves

log = logging.getLogger("lstmlm")

# Drawn into one chart in TensorBoard's tab "Custom Scalars"
LINES = {"loss": ["loss/train", "loss/val", "baseline/ngram"], "bpc": ["bpc/train", "bpc/val"]}
LINES |= {"ppl": ["ppl/train", "ppl/val"]}
TRAIN_AGAINST_VAL = {metric: {f"{metric}: train and val": ["Multiline", tags]} for metric, tags in LINES.items()}


class Tracker:
    """One for a run, in its directory.

    `progress` is what is shown on the screen. `validation` goes with every figure of the validation text: split,
    split_hash, and its bytes_per_char. `resumed_at` is the step at which a run is resumed.
    """

    def __init__(
        self,
        directory: Path,
        progress: Progress,
        config_text: str,
        validation: dict[str, Any],
        resumed_at: int | None = None,
    ) -> None:
        self.metrics, self.validation = directory / metrics.NAME, validation
        if resumed_at is not None:
            metrics.drop_rows_after(self.metrics, resumed_at)
        self.curves = Curves(directory, None if resumed_at is None else resumed_at + 1)
        self.progress = progress
        self.curves.add_layout(TRAIN_AGAINST_VAL)
        self.curves.add_text("run/config", config_text)

    def track_step(self, step: int, train: Score, values: dict[str, float]) -> None:
        """At logging steps: the training score since the last of them, and the optimizer's numbers."""
        self.curves.add_scalars(step, make_score_tags("train", train) | values)
        self.curves.flush()
        self.progress.count(train, values["speed/chars_per_s"])

    def track_evaluation(self, step: int, values: dict[str, float], sample: str, is_best: bool) -> None:
        """At evaluations: `values` are the tags of the train and val scores and all other figures."""
        values = values | {"bpb/val": values["bpc/val"] / self.validation["bytes_per_char"]}
        # The curves of all other tags are drawn at logging steps
        own = ("loss/val", "bpc/val", "bpb/val", "ppl/val", "gates/", "baseline/")
        self.curves.add_scalars(step, {tag: value for tag, value in values.items() if tag.startswith(own)})
        self.curves.add_text("sample", sample, step)
        named = {key: self.validation[key] for key in ("split", "split_hash")}
        metrics.append_evaluation(self.metrics, step, {**values, **named, "sample": sample})
        self.progress.show_evaluation(values["progress/epoch"], values["loss/val"], is_best, sample)
        log.debug(
            "step %d: train ppl %.3f, val ppl %.3f, %.4f nats, %.4f bits/char, %.4f bits/byte (%s)%s",
            *(step, values["ppl/train"], values["ppl/val"], values["loss/val"], values["bpc/val"], values["bpb/val"]),
            *(named["split_hash"][:8], " (best)" if is_best else ""),
        )

    def track_end(self, state: RunState, settings: dict[str, Any], figures: dict[str, Any]) -> None:
        """Once, at the end: hparams in the same TensorBoard run, and then the last row of metrics.jsonl."""
        flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()}
        numbers = {tag: value for tag, value in figures.items() if "/" in tag}
        self.curves.add_hparams(flat, numbers)
        # One step later than the last: a run killed here adds them again, and hides what is after its last step
        self.curves.add_scalars(figures["step"] + 1, numbers)
        self.flush()
        metrics.append_final(self.metrics, state, figures)

    def flush(self) -> None:
        """Before a checkpoint is written, so that the curves up to it are on the disk."""
        self.curves.flush()

    def close(self) -> None:
        self.progress.close()
        self.curves.close()
