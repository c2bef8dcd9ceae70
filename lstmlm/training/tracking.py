"""What a run shows and records as it goes: the screen, the log, TensorBoard curves and metrics.jsonl."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lstmlm.evaluation.scoring import Score
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.config import matters
from lstmlm.training import metrics
from lstmlm.training.metrics import RunState
from lstmlm.training.portrait import Portrait
from lstmlm.training.progress import Progress
from lstmlm.training.tags import make_score_tags, name_curves
from lstmlm.training.tensorboard import Curves

log = logging.getLogger("lstmlm")

# Charts of TensorBoard's tab "Custom Scalars": train, val and the best n-gram together
LAYOUT = {
    "loss and perplexity": {
        "loss, nats per character": ["Multiline", ["loss/train", "loss/val", "loss/ngram"]],
        "perplexity": ["Multiline", ["ppl/train", "ppl/val", "ppl/ngram"]],
    }
}
# Settings that are in the tab HPARAMS in any case; there are also those that are not the default
SHOWN = {"backend", "seed", "data.name", "model.cell", "model.num_hiddens", "model.num_layers", "model.dropout"}
SHOWN |= {"train.lr", "train.optimizer"}
# The final figures there; the sign sorts them before the settings
RESULTS = {"= val perplexity": "ppl/val_best", "= test perplexity": "ppl/test_best"}
COMPARED = ("loss/val", "ppl/val")  # curves whose last values are there too


class Tracker:
    """One for a run, in its directory.

    `progress` is what is shown on the screen. `validation` goes with every figure of the validation text: split,
    split_hash, and its bytes_per_char. `portrait` is what is shown of the inside of the model. `resumed_at` is the step
    at which a run is resumed.
    """

    def __init__(
        self,
        directory: Path,
        progress: Progress,
        config_text: str,
        validation: dict[str, Any],
        portrait: Portrait,
        resumed_at: int | None = None,
    ) -> None:
        self.metrics, self.validation = directory / metrics.NAME, validation
        if resumed_at is not None:
            metrics.drop_rows_after(self.metrics, resumed_at)
        self.curves = Curves(directory, None if resumed_at is None else resumed_at + 1)
        self.progress, self.portrait = progress, portrait
        self.curves.add_layout(LAYOUT)
        self.curves.add_code("settings", config_text)

    def track_step(self, step: int, train: Score, values: dict[str, float]) -> None:
        """At logging steps: the training score since the last of them, and the optimizer's numbers."""
        self.curves.add_scalars(step, name_curves(make_score_tags("train", train) | values))
        self.curves.flush()
        self.progress.count(train, values["speed/chars_per_s"])

    def track_evaluation(self, step: int, values: dict[str, float], sample: str, is_best: bool) -> None:
        """At evaluations: `values` are the tags of the train and val scores and all other figures."""
        values = values | {"bpb/val": values["bpc/val"] / self.validation["bytes_per_char"]}
        # The curves of all other tags are drawn at logging steps
        own = ("loss/val", "ppl/val", "gates/", "baseline/")
        self.curves.add_scalars(step, name_curves({tag: value for tag, value in values.items() if tag.startswith(own)}))
        self.curves.add_text("sample", sample, step)
        named = {key: self.validation[key] for key in ("split", "split_hash")}
        metrics.append_evaluation(self.metrics, step, {**values, **named, "sample": sample})
        self.progress.show_evaluation(values["progress/epoch"], values["loss/val"], is_best, sample)
        log.debug(
            "step %d: train ppl %.3f, val ppl %.3f, %.4f nats, %.4f bits/char, %.4f bits/byte (%s)%s",
            *(step, values["ppl/train"], values["ppl/val"], values["loss/val"], values["bpc/val"], values["bpb/val"]),
            *(named["split_hash"][:8], " (best)" if is_best else ""),
        )

    def track_end(
        self, state: RunState, settings: dict[str, Any], changed: Collection[str], figures: dict[str, Any]
    ) -> None:
        """Once, at the end: a row of hparams in the same TensorBoard run, and then the last row of metrics.jsonl.

        `changed` are the settings that are not the default. The final figures are columns beside the settings: as
        scalars each would be a chart with one dot.
        """
        results = {name: figures[tag] for name, tag in RESULTS.items() if tag in figures}
        shown = {key: value for key, value in settings.items() if key in SHOWN or (key in changed and matters(key))}
        flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in shown.items()}
        self.curves.add_hparams(results | flat, COMPARED)
        self.flush()
        metrics.append_final(self.metrics, state, figures)

    def track_portrait(self, step: int, model: RNNModel, training_seconds: float) -> None:
        """At evaluations: histograms and pictures of the model, as far as they are affordable."""
        self.portrait.take(self.curves, step, model, training_seconds)

    def flush(self) -> None:
        """Before a checkpoint is written, so that the curves up to it are on the disk."""
        self.curves.flush()

    def close(self) -> None:
        self.progress.close()
        self.curves.close()
