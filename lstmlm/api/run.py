"""A run, as its directory has it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.api.execution import execute_run
from lstmlm.api.language_model import LanguageModel, load
from lstmlm.checkpoints.files import BEST, LAST
from lstmlm.runs.find import find_run
from lstmlm.runs.launch import shorten_path
from lstmlm.runs.summary import is_run
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.paths import expand_path
from lstmlm.system.plotting import open_figure
from lstmlm.training import metrics
from lstmlm.training.metrics import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Run:
    """A run of `lstmlm.train`, or of `python train.py`, by its directory: `Run("runs/RUN")`, or `Run("latest")`.

    Everything is read from the directory, at each use but for the model.

    Attributes:
        directory: where the checkpoints, the settings (config.yaml), the log and the metrics are.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = find_run(expand_path(directory, "run"), LAST).absolute()
        if not is_run(self.directory):
            raise BadInput(f"run: {directory} is no directory of a run")

    @property
    def metrics(self) -> list[Row]:
        """A dict for each evaluation, for `pandas.DataFrame(run.metrics)`; docs/metrics.md explains the keys."""
        return metrics.list_evaluations(self.read_rows())

    @property
    def final(self) -> Row | None:
        """The figures of the end: the best weights on the whole held-out parts; None of a run that was stopped."""
        return metrics.find_final(self.read_rows())

    @property
    def state(self) -> str:
        """finished, out of time, stopped, diverged, or running, which may also mean killed."""
        return metrics.find_state(self.read_rows())

    def read_rows(self) -> list[Row]:
        """The rows of metrics.jsonl; BadInput if they cannot be read."""
        try:
            return metrics.read_rows(self.directory / metrics.NAME)
        except ValueError as error:
            raise BadInput(f"run: {self.directory}: {error}") from None

    @cached_property
    def model(self) -> LanguageModel:
        """The model: generate, stream, score, trace. It has the best weights; the last ones before an evaluation."""
        best = self.directory / BEST
        return load(best if best.exists() else self.directory / LAST)

    def resume(self, *overrides: str, **settings: object) -> "Run":
        """Continue the run in its directory, from its last checkpoint, and return it.

        The settings are as in `lstmlm.train`; what may change is how long and where the run computes: max_epochs,
        max_steps, max_seconds, patience, backend, device, threads. A run that has finished needs a higher limit.
        """
        execute_run(overrides, {**settings, "resume": shorten_path(self.directory)})
        self.__dict__.pop("model", None)  # of the weights before
        return self

    def page(self, path: str | Path = "model.html", **options: str | None) -> Path:
        """Write one HTML file that runs the run's model in a browser: `LanguageModel.page`."""
        return self.model.page(path, **options)

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the training and validation loss of every evaluation, and the best n-gram's, and return the axes.

        In a notebook the figure is shown. Elsewhere: `run.plot().figure.savefig("curves.png")`. Needs matplotlib.
        """
        rows = self.metrics
        if not rows:
            raise BadInput(f"plot: {self.directory} has no evaluation yet: nothing to draw")
        if axes is None:
            axes = open_figure("plot", figsize=(6, 3.6)).subplots()
        epochs = [row["progress/epoch"] for row in rows]
        for tag, label, style in CURVES:
            if all(tag in row for row in rows):
                axes.plot(epochs, [row[tag] for row in rows], style, label=label)
        axes.set(xlabel="epoch", ylabel="loss, nats per character")
        axes.grid(alpha=0.3)
        axes.legend()
        return axes

    def __repr__(self) -> str:
        name = str(shorten_path(self.directory))
        return escape_controls(f"Run({name!r}: {self.state}{describe_loss(self.metrics)})")


CURVES = (("loss/train", "training", ".-"), ("loss/val", "validation", ".-"), ("baseline/ngram", "best n-gram", "k--"))


def describe_loss(rows: Sequence[dict[str, Any]]) -> str:
    """The lowest validation loss of evaluations, and when it was; empty without one."""
    if not rows:
        return ", not evaluated yet"
    best = min(rows, key=lambda row: row["loss/val"])
    return (
        f" at step {rows[-1]['step']:,}; best val {best['loss/val']:.4f} nats, {best['bpc/val']:.3f} bits, "
        f"perplexity {best['ppl/val']:.3f} per character, at step {best['step']:,}"
    )
