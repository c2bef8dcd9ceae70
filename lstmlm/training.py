"""The training loop: truncated back-propagation through time with clipping, evaluation and checkpoints.

B = batch_size, T = num_steps, V = vocab_size.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm import checkpoint
from lstmlm.errors import Diverged, Stopped
from lstmlm.evaluation import Score, evaluate
from lstmlm.gates import gate_openings
from lstmlm.model import RNNModel, State
from lstmlm.optim import grad_clipping, lr_factor, moments_to_book, set_lr
from lstmlm.signals import StopRequest
from lstmlm.streams import Streams
from lstmlm.tracking import Tracker, score_tags

log = logging.getLogger("lstmlm")


@dataclass(frozen=True)
class Limits:
    """When a run ends; None is no limit, and one at least is set."""

    max_epochs: int | None = None
    max_steps: int | None = None
    max_seconds: float | None = None

    def steps(self, steps_per_epoch: int) -> int | None:
        """The steps that the epoch and step limits allow, if there are such limits."""
        epochs = None if self.max_epochs is None else self.max_epochs * steps_per_epoch
        return min((limit for limit in (epochs, self.max_steps) if limit is not None), default=None)

    def progress(self, step: int, steps_per_epoch: int, seconds: float) -> float:
        """The largest of the limits' fractions: 0 at the start, at least 1 at the end."""
        steps = self.steps(steps_per_epoch)
        by_steps = 0.0 if steps is None else step / steps
        by_seconds = 0.0 if self.max_seconds is None else seconds / self.max_seconds
        return max(by_steps, by_seconds)


@dataclass(frozen=True)
class Reading:
    """Sums over some training steps: of nats, characters, gradient norms before clipping, and clipped steps."""

    nats: float = 0.0
    chars: int = 0
    norms: float = 0.0
    clipped: float = 0.0
    steps: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def score(self) -> Score:
        return Score(self.nats, self.chars)

    def gradient_tags(self) -> dict[str, float]:
        return {"optim/grad_norm": self.norms / self.steps, "optim/clipped": self.clipped / self.steps}


class Meter:
    """Sums on the device since the last reading, which alone waits for the device."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, device=device)  # nats, norms before clipping, clipped steps
        self.first_bad_step = torch.full((), -1, device=device)
        self.chars = self.steps = 0

    def add(self, step: int, loss: Tensor, norm: Tensor, chars: int, grad_clip: float | None) -> None:
        clipped = norm > (torch.inf if grad_clip is None else grad_clip)
        self.sums += torch.stack([loss.detach() * chars, norm, clipped])
        bad = ~(torch.isfinite(loss.detach()) & torch.isfinite(norm)) & (self.first_bad_step < 0)
        self.first_bad_step.masked_fill_(bad, step)
        self.chars, self.steps = self.chars + chars, self.steps + 1

    def read(self) -> Reading:
        """What was added since the last call. Diverged where a step was not finite."""
        if (step := int(self.first_bad_step)) >= 0:
            raise Diverged(
                f"training diverged at step {step}: the loss or the norm of its gradient is not finite: "
                f"lower train.lr or train.grad_clip; the last good checkpoint is intact"
            )
        nats, norms, clipped = self.sums.tolist()
        reading = Reading(nats, self.chars, norms, clipped, self.steps)
        self.sums.zero_()
        self.chars = self.steps = 0
        return reading


class Trainer:
    """Trains `model` on `streams`, judges it on `val_ids` (n,), and keeps best, last and previous.

    `record` is what a checkpoint says of the run besides step and metrics; `sample` gives a text to look at.
    """

    def __init__(
        self,
        model: RNNModel,
        optimizer: torch.optim.Optimizer,
        streams: Streams,
        val_ids: Tensor,
        *,
        lr: float,
        schedule: str,
        warmup: float,
        grad_clip: float | None,
        limits: Limits,
        log_every: int,
        eval_every: int | None,
        eval_chars: int | None,
        data_generator: torch.Generator,
        tracker: Tracker,
        directory: Path,
        record: dict,
        sample: Callable[[], str],
    ) -> None:
        self.model, self.optimizer, self.streams = model, optimizer, streams
        self.val_ids = val_ids if eval_chars is None else val_ids[: eval_chars + 1]
        self.lr, self.schedule, self.warmup, self.grad_clip = lr, schedule, warmup, grad_clip
        self.limits, self.log_every = limits, log_every
        self.eval_every = eval_every or streams.steps_per_epoch
        self.data_generator, self.tracker = data_generator, tracker
        self.directory, self.record, self.sample = directory, record, sample

        self.params = list(model.trained().values())
        self.meter = Meter(streams.ids.device)
        self.since_evaluation = self.this_epoch = Reading()
        self.step = self.chars = 0
        self.best: dict = {"loss/val": float("inf")}
        self.started = self.clock = time.perf_counter()
        self.training_seconds = 0.0  # in steps alone, evaluation and saving left out

    # The loop

    def fit(self, stop: StopRequest) -> None:
        """Train until a limit is reached. Stopped after the current step is saved, if `stop` asks for it."""
        while True:
            state, self.this_epoch = None, Reading()
            for X, Y in self.streams.epoch(self.data_generator):
                state = self.train_step(X, Y, state)
                ended = self.progress() >= 1
                due = any(self.step % every == 0 for every in (self.log_every, self.eval_every, self.epoch_steps))
                if due or ended or stop.exit_code:
                    self.log_step()
                if stop.exit_code:
                    self.save_last()
                    raise Stopped(self.stopped_message(), stop.exit_code)
                if ended or self.step % self.eval_every == 0:
                    self.evaluate()
                if ended:
                    return

    def train_step(self, X: Tensor, Y: Tensor, state: State | None) -> State:
        """One step on X, Y (B, T) from a state, or from the zero state; returns the state to carry."""
        if state is None or not self.streams.carries_state:
            state = self.model.begin_state(X.shape[0], X.device)
        set_lr(self.optimizer, self.lr * lr_factor(self.progress(), self.schedule, self.warmup))
        self.model.train()
        logits, state = self.model(X, tuple(part.detach() for part in state))
        loss = functional.cross_entropy(logits, Y.T.flatten())  # logits (T*B, V) are time-major
        self.optimizer.zero_grad()
        loss.backward()
        norm = grad_clipping(self.params, self.grad_clip)
        self.optimizer.step()
        self.step += 1
        self.chars += Y.numel()
        self.meter.add(self.step, loss, norm, Y.numel(), self.grad_clip)
        return state

    def progress(self) -> float:
        return self.limits.progress(self.step, self.epoch_steps, time.perf_counter() - self.started)

    @property
    def epoch_steps(self) -> int:
        return self.streams.steps_per_epoch

    # What is told and kept

    def log_step(self) -> None:
        """Read the meter: with evaluations, the only place that waits for the device."""
        reading = self.meter.read()
        seconds = time.perf_counter() - self.clock
        self.training_seconds += seconds
        self.since_evaluation += reading
        self.this_epoch += reading
        speed = {"speed/chars_per_s": reading.chars / seconds}
        self.tracker.step(self.step, reading.score, self.position_tags() | reading.gradient_tags() | speed)
        self.clock = time.perf_counter()

    def position_tags(self) -> dict[str, float]:
        return {
            "progress/epoch": self.step / self.epoch_steps,
            "progress/chars": self.chars,
            "optim/lr": self.optimizer.param_groups[0]["lr"],
        }

    def evaluate(self) -> None:
        """Score the validation text, keep the weights if they are the best so far, and save."""
        val = evaluate(self.model, self.val_ids)
        values = score_tags("train", self.since_evaluation.score) | score_tags("val", val) | self.position_tags()
        values |= self.since_evaluation.gradient_tags() | {"speed/chars_per_s": self.chars_per_second}
        for k, gates in enumerate(gate_openings(self.model, self.val_ids[None, :1000])):
            values |= {f"gates/layer{k}_{gate}": opening.mean().item() for gate, opening in gates.items()}
        is_best = val.nats_per_char < self.best["loss/val"]
        self.tracker.evaluation(self.step, values, self.sample(), " (best)" if is_best else "")
        if is_best:
            self.best = {"step": self.step, **values}
            checkpoint.save(self.directory / checkpoint.BEST, *self.contents())
        self.save_last()
        self.since_evaluation = Reading()
        self.clock = time.perf_counter()

    def save_last(self) -> None:
        checkpoint.save_last(self.directory, *self.contents())

    def contents(self):
        """Weights, optimizer and record of a checkpoint at this step; Diverged if a weight is not finite."""
        weights = self.model.book_weights()
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            raise Diverged(f"training diverged at step {self.step}: a weight is not finite: lower train.lr")
        record = {**self.record, "step": self.step, "epoch": self.step / self.epoch_steps, "metrics": self.best}
        return weights, moments_to_book(self.model, self.optimizer), record

    @property
    def chars_per_second(self) -> float:
        return self.chars / self.training_seconds

    def stopped_message(self) -> str:
        return f"stopped at step {self.step}: saved {self.directory / checkpoint.LAST}"
