"""Where the training loop stands, into a checkpoint and out of it: a restored loop continues bit for bit.

L = num_layers, B = batch_size, H = num_hiddens.
"""

import math
from dataclasses import astuple, dataclass, field
from typing import Any

from torch import Tensor

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.layers.contract import Tensors
from lstmlm.model.rnn_model import State
from lstmlm.system.dotted import under
from lstmlm.text.lanes import Share
from lstmlm.training.clock import Clock
from lstmlm.training.meter import Meter, Reading


def find_last_recorded_step(loaded: Checkpoint) -> int:
    """The last step that is logged and evaluated as far as it is due: a resumed run records those after it."""
    return int(loaded.record["step"]) - int(loaded.record["loop"].get("evaluation_due", False))


@dataclass
class LoopState:
    """All that the loop holds besides the Learner."""

    epoch_start: Tensor  # bytes: the state that the generator of the data's order had at the start of the epoch
    meter: Meter
    clock: Clock
    step: int = 0  # optimizer steps so far
    batch: int = 0  # batches of this epoch so far
    chars: int = 0  # characters trained on so far
    carried: State | None = None  # into the next batch of the own lanes, each (L, B, H); None: the zero state
    since_evaluation: Reading = field(default_factory=Reading)
    this_epoch: Reading = field(default_factory=Reading)
    best: dict[str, float] = field(default_factory=lambda: {"loss/val": math.inf})  # figures of the best evaluation
    evaluations_since_best: int = 0
    evaluation_due: bool = False  # after this step: it is logged and evaluated next

    def count_step(self, chars: int) -> None:
        """An optimizer step on `chars` characters was made."""
        self.step, self.batch, self.chars = self.step + 1, self.batch + 1, self.chars + chars

    def count_reading(self, reading: Reading) -> None:
        """The meter gave this reading."""
        self.since_evaluation += reading
        self.this_epoch += reading

    def count_evaluation(self, figures: dict[str, float], is_best: bool) -> None:
        """An evaluation at this step gave these figures."""
        self.since_evaluation = Reading()
        self.evaluations_since_best += 1
        self.evaluation_due = False
        if is_best:
            self.best, self.evaluations_since_best = {"step": self.step, **figures}, 0

    def forget_best(self) -> None:
        """The next evaluation is the best."""
        self.best, self.evaluations_since_best = {"loss/val": math.inf}, 0

    # Checkpoints

    def to_tensors(self, carried_by_all: State | None) -> Tensors:
        """The tensors of a checkpoint that hold the loop: `run.carried.0`, ..., `run.meter`, `run.epoch_start`.

        `carried_by_all` is `carried` with the lanes of all processes.
        """
        carried = {f"run.carried.{k}": part.detach() for k, part in enumerate(carried_by_all or ())}
        return carried | {"run.meter": self.meter.sums.clone(), "run.epoch_start": self.epoch_start.clone()}

    def to_record(self, steps_per_epoch: int) -> dict[str, Any]:
        """The fields of a checkpoint's record that hold the loop: step, epoch, metrics, loop."""
        loop = {
            "batch": self.batch,
            "chars": self.chars,
            "meter_chars": self.meter.chars,
            "meter_steps": self.meter.steps,
            "since_evaluation": astuple(self.since_evaluation),
            "this_epoch": astuple(self.this_epoch),
            "evaluations_since_best": self.evaluations_since_best,
            **self.clock.to_record(),
        }
        if self.evaluation_due:
            loop["evaluation_due"] = True
        return {"step": self.step, "epoch": self.step / steps_per_epoch, "metrics": self.best, "loop": loop}

    def restore(self, loaded: Checkpoint, zero_state: State, share: Share) -> None:
        """Take over what `to_tensors` and `to_record` gave; `zero_state` is that of the model for the lanes of all
        processes, of which this one has a `share`.

        KeyError or RuntimeError if the checkpoint does not hold the loop of such a model.
        """
        tensors, record = under("run.", loaded.tensors), loaded.record
        loop, metrics = record["loop"], record["metrics"]
        carried = under("carried.", tensors)
        parts = tuple(carried[str(k)].to(zero_state[0].device) for k in range(len(carried)))
        if parts and [part.shape for part in parts] != [zero.shape for zero in zero_state]:
            raise RuntimeError("the carried state is that of another model or batch")
        self.carried = tuple(share.take(part, 1) for part in parts) or None
        self.epoch_start = tensors["epoch_start"]
        self.meter.restore(tensors["meter"], loop["meter_chars"], loop["meter_steps"])
        self.clock.restore(loop)
        self.step, self.batch, self.chars = record["step"], loop["batch"], loop["chars"]
        self.since_evaluation, self.this_epoch = Reading(*loop["since_evaluation"]), Reading(*loop["this_epoch"])
        # Infinities and NaN are strings in the file
        self.best = {key: float(value) if isinstance(value, str) else value for key, value in metrics.items()}
        self.evaluations_since_best = loop.get("evaluations_since_best", 0)  # older files lack it
        self.evaluation_due = loop.get("evaluation_due", False)
