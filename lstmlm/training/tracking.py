"""What a run shows and leaves behind: the bar, the log, TensorBoard curves and metrics.jsonl, spelled once."""

import contextlib
import json
import logging
from pathlib import Path

from tqdm import tqdm

from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import Score
from lstmlm.system.durable import name_refusals, write_durably
from lstmlm.system.escape import escape_controls
from lstmlm.system.json_text import encode_json
from lstmlm.training.tensorboard import Curves

log = logging.getLogger("lstmlm")

# Shown over each other in TensorBoard's tab "Custom Scalars"
LINES = {"loss": ["loss/train", "loss/val", "baseline/ngram"], "bpc": ["bpc/train", "bpc/val"]}
LINES |= {"ppl": ["ppl/train", "ppl/val"]}
TRAIN_AGAINST_VAL = {metric: {f"{metric}: train and val": ["Multiline", tags]} for metric, tags in LINES.items()}


def make_score_tags(split: str, score: Score) -> dict[str, float]:
    """loss (nats per character), bpc (bits per character) and ppl (perplexity) of one split."""
    return {
        f"loss/{split}": score.nats_per_char,
        f"bpc/{split}": score.bits_per_char,
        f"ppl/{split}": score.perplexity,
    }


def make_baseline_tags(baseline: Baseline, best: float) -> dict[str, float]:
    """What the best n-gram needs, a level line beside loss/val, and whether the lowest loss/val so far is below it."""
    return {"baseline/ngram": baseline.nats_per_char, "baseline/passed": float(best < baseline.nats_per_char)}


class Tracker:
    """One per run, one run per directory. Steps count optimizer steps.

    `judged_on` goes with every figure of the validation text: split, split_hash, and its bytes_per_char.
    """

    def __init__(
        self,
        directory: Path,
        total_steps: int | None,
        config_text: str,
        judged_on: dict,
        resumed_at: int | None = None,
    ) -> None:
        self.metrics, self.judged_on = directory / "metrics.jsonl", judged_on
        if resumed_at is not None:
            drop_rows_after(self.metrics, resumed_at)
        self.curves = Curves(directory, None if resumed_at is None else resumed_at + 1)
        # disable=None: no bar where stderr is not a terminal
        self.bar = tqdm(total=total_steps, initial=resumed_at or 0, disable=None, dynamic_ncols=True, unit="step")
        self.curves.overlaid(TRAIN_AGAINST_VAL)
        self.curves.text("run/config", config_text)

    def step(self, step: int, train: Score, values: dict[str, float]) -> None:
        """At logging steps: the training score since the last of them, and the optimizer's numbers."""
        self.curves.scalars(step, make_score_tags("train", train) | values)
        self.curves.flush()
        self.bar.update(step - self.bar.n)
        speed = f"{values['speed/chars_per_s']:,.0f}"
        self.bar.set_postfix(
            {"loss": f"{train.nats_per_char:.3f}", "bpc": f"{train.bits_per_char:.3f}", "chars/s": speed}
        )

    def evaluation(self, step: int, values: dict[str, float], sample: str, remark: str) -> None:
        """At evaluations. `values` has the tags of the train and val scores and whatever else is known."""
        values = values | {"bpb/val": values["bpc/val"] / self.judged_on["bytes_per_char"]}
        # The rest are the curves that `step` draws
        own = ("loss/val", "bpc/val", "bpb/val", "ppl/val", "gates/", "baseline/")
        self.curves.scalars(step, {tag: value for tag, value in values.items() if tag.startswith(own)})
        self.curves.text("sample", sample, step)
        named = {key: self.judged_on[key] for key in ("split", "split_hash")}
        self.record({"step": step, **values, **named, "sample": sample})
        log.info(
            "step %d, epoch %.1f: train ppl %.3f, val ppl %.3f, %.3f nats, %.3f bits/char, %.3f bits/byte (%s)%s | %s",
            *(step, values["progress/epoch"], values["ppl/train"], values["ppl/val"], values["loss/val"]),
            *(values["bpc/val"], values["bpb/val"], named["split_hash"][:8], remark, shorten_to_line(sample)),
        )

    def final(self, settings: dict, values: dict) -> None:
        """Once, at the end: hparams in the same TensorBoard run, and then the last line of metrics.jsonl."""
        flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()}
        numbers = {tag: value for tag, value in values.items() if "/" in tag}
        self.curves.hparams(flat, numbers)
        # One step on: a run killed here draws them again, and hides what is after its last step
        self.curves.scalars(values["step"] + 1, numbers)
        self.flush()
        self.record({"final": True, **values})

    def record(self, row: dict) -> None:
        with name_refusals(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(encode_json(row) + "\n")

    def flush(self) -> None:
        """So that what is before a checkpoint is on the disk before it."""
        self.curves.flush()

    def close(self) -> None:
        self.bar.close()
        self.curves.close()


def drop_rows_after(metrics: Path, step: int) -> None:
    """Drop the rows of evaluations after a step, and final figures: the resumed run will write them again."""
    if not metrics.exists():
        return
    kept = []
    for line in metrics.read_text(encoding="utf-8").splitlines(keepends=True):
        with contextlib.suppress(ValueError):  # a line that a kill cut short
            row = json.loads(line)
            if "final" not in row and row["step"] <= step:
                kept.append(line)
    write_durably(metrics, "".join(kept).encode())


def shorten_to_line(text: str, width: int = 32) -> str:
    """The start of a text on one line, line ends shown as escapes."""
    line = escape_controls(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= width else line[: width - 3] + "..."
