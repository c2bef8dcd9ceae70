"""What a run shows and leaves behind: the bar, the log, TensorBoard curves and metrics.jsonl, spelled once."""

import contextlib
import json
import logging
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from tqdm import tqdm

from lstmlm.checkpoint import finite
from lstmlm.commit import write_durably
from lstmlm.evaluation import Score
from lstmlm.floors import Floor
from lstmlm.terminal import harmless

log = logging.getLogger("lstmlm")

# Shown over each other in TensorBoard's tab "Custom Scalars"
LINES = {"loss": ["loss/train", "loss/val", "floor/ngram"], "bpc": ["bpc/train", "bpc/val"]}
LINES |= {"ppl": ["ppl/train", "ppl/val"]}
TRAIN_AGAINST_VAL = {metric: {f"{metric}: train and val": ["Multiline", tags]} for metric, tags in LINES.items()}


def score_tags(split: str, score: Score) -> dict[str, float]:
    """loss (nats per character), bpc (bits per character) and ppl (perplexity) of one split."""
    return {
        f"loss/{split}": score.nats_per_char,
        f"bpc/{split}": score.bits_per_char,
        f"ppl/{split}": score.perplexity,
    }


def floor_tags(floor: Floor, best: float) -> dict[str, float]:
    """What the best n-gram needs, a level line beside loss/val, and whether the lowest loss/val so far is below it."""
    return {"floor/ngram": floor.nats_per_char, "floor/passed": float(best < floor.nats_per_char)}


class Tracker:
    """One per run, one run per directory. Steps count optimizer steps."""

    def __init__(
        self, directory: Path, total_steps: int | None, config_text: str, resumed_at: int | None = None
    ) -> None:
        self.metrics = directory / "metrics.jsonl"
        if resumed_at is not None:
            forget_after(self.metrics, resumed_at)
            wait_for_a_later_name(directory)
        # Points after the checkpoint will be drawn again: purge_step hides the first drawing
        self.writer = SummaryWriter(str(directory), purge_step=None if resumed_at is None else resumed_at + 1)
        # disable=None: no bar where stderr is not a terminal
        self.bar = tqdm(total=total_steps, initial=resumed_at or 0, disable=None, dynamic_ncols=True, unit="step")
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
        own = ("loss/val", "bpc/val", "ppl/val", "gates/", "floor/")  # the rest are the curves that `step` draws
        self.scalars(step, {tag: value for tag, value in values.items() if tag.startswith(own)})
        self.writer.add_text("sample", _verbatim(sample), step)
        self.record({"step": step, **values, "sample": sample})
        log.info(
            "step %d, epoch %.1f: train ppl %.3f, val ppl %.3f, %.3f bits/char%s | %s",
            *(step, values["progress/epoch"], values["ppl/train"], values["ppl/val"], values["bpc/val"], remark),
            one_line(sample),
        )

    def final(self, settings: dict, values: dict) -> None:
        """Once, at the end: hparams in the same TensorBoard run, and then the last line of metrics.jsonl."""
        flat = {key: value if isinstance(value, (int, float, bool)) else str(value) for key, value in settings.items()}
        numbers = {tag: value for tag, value in values.items() if "/" in tag}
        for summary in hparams(flat, numbers):  # writer.add_hparams would open a run of its own for them
            self.writer.file_writer.add_summary(summary)
        # One step on: a run killed here draws them again, and purges what is after its last step
        self.scalars(values["step"] + 1, numbers)
        self.flush()
        self.record({"final": True, **values})

    def record(self, row: dict) -> None:
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)) + "\n")

    def flush(self) -> None:
        """So that what is before a checkpoint is on the disk before it."""
        self.writer.flush()

    def close(self) -> None:
        self.bar.close()
        self.writer.close()


def forget_after(metrics: Path, step: int) -> None:
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


def wait_for_a_later_name(directory: Path) -> None:
    """Event files are read in the order of the second in their names; purge_step works on what was read before."""
    seconds = [int(path.name.split(".")[3]) for path in directory.glob("events.out.tfevents.*")]
    while seconds and time.time() < max(seconds) + 1:
        time.sleep(0.05)


def one_line(text: str, width: int = 48) -> str:
    """The start of a text on one line, line ends shown as escapes."""
    line = harmless(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= width else line[: width - 3] + "..."


def _verbatim(text: str) -> str:
    """As Markdown code: TensorBoard otherwise joins lines and eats asterisks."""
    return "".join("    " + line for line in text.splitlines(keepends=True))
