"""What a run shows and leaves behind: the bar, the log, TensorBoard curves and metrics.jsonl, spelled once."""

import json
import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lstmlm.checkpoint import finite
from lstmlm.evaluation import Score

log = logging.getLogger("lstmlm")

# Shown over each other in TensorBoard's tab "Custom Scalars"
TRAIN_AGAINST_VAL = {
    metric: {f"{metric}: train and val": ["Multiline", [f"{metric}/train", f"{metric}/val"]]}
    for metric in ("loss", "bpc", "ppl")
}


def score_tags(split: str, score: Score) -> dict[str, float]:
    """loss (nats per character), bpc (bits per character) and ppl (perplexity) of one split."""
    return {
        f"loss/{split}": score.nats_per_char,
        f"bpc/{split}": score.bits_per_char,
        f"ppl/{split}": score.perplexity,
    }


class Tracker:
    """One per run, one run per directory. Steps count optimizer steps."""

    def __init__(self, directory: Path, total_steps: int | None, config_text: str) -> None:
        self.writer = SummaryWriter(str(directory))
        self.metrics = directory / "metrics.jsonl"
        # disable=None: no bar where stderr is not a terminal
        self.bar = tqdm(total=total_steps, disable=None, dynamic_ncols=True, unit="step")
        self.writer.add_custom_scalars(TRAIN_AGAINST_VAL)
        self.writer.add_text("run/config", _verbatim(config_text))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)

    def step(self, step: int, train: Score, values: dict[str, float]) -> None:
        """At logging steps: the training score since the last of them, and the optimizer's numbers."""
        self.scalars(step, score_tags("train", train) | values)
        self.bar.update(step - self.bar.n)
        speed = f"{values['speed/chars_per_s']:,.0f}"
        self.bar.set_postfix(
            {"loss": f"{train.nats_per_char:.3f}", "bpc": f"{train.bits_per_char:.3f}", "chars/s": speed}
        )

    def evaluation(self, step: int, values: dict[str, float], sample: str, remark: str) -> None:
        """At evaluations. `values` has the tags of the train and val scores and whatever else is known."""
        own = ("loss/val", "bpc/val", "ppl/val", "gates/")  # the rest are the curves that `step` draws
        self.scalars(step, {tag: value for tag, value in values.items() if tag.startswith(own)})
        self.writer.add_text("sample", _verbatim(sample), step)
        self.writer.flush()
        self.record({"step": step, **values, "sample": sample})
        log.info(
            "step %d, epoch %.1f: train ppl %.3f, val ppl %.3f, %.3f bits/char%s | %s",
            *(step, values["progress/epoch"], values["ppl/train"], values["ppl/val"], values["bpc/val"], remark),
            ascii_line(sample),
        )

    def final(self, settings: dict, values: dict) -> None:
        """Once, at the end: the last line of metrics.jsonl, and hparams in the same TensorBoard run."""
        self.record({"final": True, **values})
        flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()}
        numbers = {tag: value for tag, value in values.items() if isinstance(value, float)}
        self.writer.add_hparams(flat, numbers, run_name=".")

    def record(self, row: dict) -> None:
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)) + "\n")

    def close(self) -> None:
        self.bar.close()
        self.writer.close()


def ascii_line(text: str, width: int = 72) -> str:
    """The start of a text on one line, line ends and what is not printable shown as escapes."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return line if len(line) <= width else line[: width - 3] + "..."


def _verbatim(text: str) -> str:
    """As Markdown code: TensorBoard otherwise joins lines and eats asterisks."""
    return "".join("    " + line for line in text.splitlines(keepends=True))
