"""What a run is to do: how a step is made, when something is logged, evaluated or saved, and when the run ends."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a step is made; grad_clip None: no clipping, ema None: no average of the weights."""

    lr: float
    schedule: str
    warmup: float
    grad_clip: float | None
    ema: float | None
    micro_batches: int
    precision: str
    rules: int = 2  # see former_rules.py


@dataclass(frozen=True)
class Intervals:
    """Optimizer steps between two readings, evaluations and saves, and minutes between two saves.

    eval_every None: an epoch; save_every and save_minutes None: never.
    """

    log_every: int
    eval_every: int | None
    save_every: int | None
    save_minutes: float | None


@dataclass(frozen=True)
class Limits:
    """When a run ends; None is no limit, and at least one besides patience is set.

    `patience` is early stopping: the run ends after so many consecutive evaluations without a validation loss below
    the lowest before them (Prechelt 1998, "Early Stopping - But When?").
    """

    max_epochs: int | None = None
    max_steps: int | None = None
    max_seconds: float | None = None
    patience: int | None = None

    def count_steps(self, steps_per_epoch: int) -> int | None:
        """The optimizer steps that max_epochs and max_steps allow; None if neither is set."""
        epochs = None if self.max_epochs is None else self.max_epochs * steps_per_epoch
        return min((limit for limit in (epochs, self.max_steps) if limit is not None), default=None)

    def progress(self, step: int, steps_per_epoch: int, seconds: float) -> float:
        """The largest fraction of a limit that is used, patience aside: 0 at the start, at least 1 at the end."""
        steps = self.count_steps(steps_per_epoch)
        by_steps = 0.0 if steps is None else step / steps
        by_seconds = 0.0 if self.max_seconds is None else seconds / self.max_seconds
        return max(by_steps, by_seconds)

    def list_reached(self, step: int, steps_per_epoch: int, seconds: float, evaluations_since_best: int) -> list[str]:
        """The names of the limits that are reached; last the one that depends on the machine."""
        reached = {
            "max_epochs": self.max_epochs is not None and step >= self.max_epochs * steps_per_epoch,
            "max_steps": self.max_steps is not None and step >= self.max_steps,
            "patience": self.is_out_of_patience(evaluations_since_best),
            "max_seconds": self.max_seconds is not None and seconds >= self.max_seconds,
        }
        return [name for name, is_reached in reached.items() if is_reached]

    def is_out_of_patience(self, evaluations_since_best: int) -> bool:
        return self.patience is not None and evaluations_since_best >= self.patience


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    intervals: Intervals
    limits: Limits
