"""Where a fault meets the program: a folder, the two programs, and what is there to look at afterwards."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstmlm.checkpoints.files import LAST
from lstmlm.checkpoints.safetensors_file import strict_json
from lstmlm.runs.resume import load_newest_good
from lstmlm.system.errors import BadInput

# Six steps, evaluated and saved at every second one, with a point in the curves for each
SMALL = ["backend=nn", "model.num_hiddens=8", "data.batch_size=4", "data.num_steps=8", "sample.length=10"]
SMALL += ["train.max_steps=6", "train.eval_every=2", "train.log_every=1", "data.split=[0.9,0.001,0.001]"]
IN_RUN = "hydra.run.dir=run"
SWEEP = ("-m", "hydra.sweep.dir=sweep", *SMALL)


@dataclass
class Scene:
    """An empty folder where the user stands, the two programs, and the faults, until they are over."""

    folder: Path
    kept: Path  # runs of SMALL that were made once, for all: whole, and stopped at step 3
    train: Callable = print  # python train.py ...
    command: Callable = print  # python -m lstmlm ...
    run: Callable = print  # what python train.py does when the settings of SMALL are composed, in run/
    out: str = ""  # what was on stdout
    saved: int = -1  # step of the newest good checkpoint when a fault struck
    faults: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.patch = self.faults.enter_context(pytest.MonkeyPatch.context())

    def strike(self) -> None:
        with suppress(BadInput):  # nothing is saved yet
            self.saved = load_newest_good(self.folder / "run").record["step"]

    def files(self) -> dict[Path, tuple[int, bytes]]:
        """Size and content, or its first MB, of every file, but for the log of a run, where a refusal may be told."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and not (path.name == "train.log" and path.with_name(LAST).exists()):
                with open(path, "rb") as file:
                    found[path] = path.stat().st_size, file.read(1 << 20)
        return found

    def rows(self) -> list[dict]:
        """Of metrics.jsonl."""
        *lines, end = (self.folder / "run" / "metrics.jsonl").read_text().split("\n")
        assert end == ""
        return [strict_json(line, "row") for line in lines]

    def finished_jobs(self) -> list[str]:
        """The directories in sweep/ whose run came to its end, once."""
        ends = sorted((self.folder / "sweep").glob("*/metrics.jsonl"))
        return [path.parent.name for path in ends if path.read_text().count('"final": true') == 1]

    def points(self, tag: str) -> dict[int, float]:
        """Of a curve, by step."""
        curves = EventAccumulator(str(self.folder / "run"), size_guidance={"scalars": 0}).Reload()
        return {event.step: event.value for event in curves.Scalars(tag)}


Fault = Callable[[Scene], object]
