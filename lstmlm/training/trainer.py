"""The training loop: truncated back-propagation through time with clipping, evaluation and checkpoints.

B = batch_size, T = num_steps, V = vocab_size.
"""

import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lstmlm.checkpoints import checkpoint
from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.layers.contract import Tensors
from lstmlm.model.gates import collect_gate_openings
from lstmlm.model.rnn_model import RNNModel, State
from lstmlm.system.errors import Diverged, Stopped
from lstmlm.system.signals import StopRequest
from lstmlm.text.batches import Streams
from lstmlm.training.backprop import back_propagate
from lstmlm.training.ema import WeightAverage
from lstmlm.training.loop_state import capture
from lstmlm.training.meter import Meter, Reading
from lstmlm.training.optim import compute_lr_factor, grad_clipping, set_lr
from lstmlm.training.plan import Intervals, Limits, Recipe
from lstmlm.training.tracking import Tracker, make_baseline_tags, make_score_tags

log = logging.getLogger("lstmlm")


class Trainer:
    """Trains `model` on `streams`, judges it on the validation text, and keeps best, last and previous.

    `val_pieces`, each (n,), are judged as streams of their own; `record` is what a checkpoint says of the run besides
    step and metrics; `sample` gives a text to look at; `baseline` is what the best n-gram needs for
    val_pieces, to compare with in log and curves; `cpu_started` is where time.process_time() stood as the run began.
    """

    def __init__(
        self,
        model: RNNModel,
        optimizer: torch.optim.Optimizer,
        streams: Streams,
        val_pieces: list[Tensor],
        *,
        recipe: Recipe,
        intervals: Intervals,
        limits: Limits,
        data_generator: torch.Generator,
        tracker: Tracker,
        directory: Path,
        record: dict,
        sample: Callable[[], str],
        baseline: Baseline | None,
        cpu_started: float,
    ) -> None:
        self.model, self.optimizer, self.streams, self.val_pieces = model, optimizer, streams, val_pieces
        self.recipe, self.intervals, self.limits = recipe, intervals, limits
        self.eval_every = intervals.eval_every or streams.steps_per_epoch
        self.data_generator, self.tracker = data_generator, tracker
        self.directory, self.record, self.sample = directory, record, sample
        self.baseline = baseline

        self.some_text = val_pieces[0][None, :1000].to(streams.device, torch.int64)  # to look at the gates
        self.params = list(model.trained().values())
        self.average = None if recipe.ema is None else WeightAverage(model, recipe.ema)
        self.meter = Meter(streams.device)
        self.since_evaluation = self.this_epoch = Reading()
        self.step = self.chars = 0
        self.batch = 0  # of this epoch, the next to come
        self.state: State | None = None  # carried into it
        self.epoch_start = data_generator.get_state()
        self.best: dict = {"loss/val": float("inf")}
        self.evaluations_since_best = 0
        self.started = self.clock = self.saved = time.perf_counter()
        self.training_seconds = 0.0  # in steps alone, evaluation and saving left out
        self.cpu_started: float | None = cpu_started

    # The loop

    def fit(self, stop: StopRequest) -> None:
        """Train until a limit is reached; Stopped after the step is finished and saved, if `stop` asks for it."""
        if self.step == 0:
            self.save_last()
        ended = self.has_ended(self.progress())
        while not ended:
            ended = self.epoch(stop)
        if self.limits.out_of_patience(self.evaluations_since_best) and self.progress() < 1:
            found = (self.evaluations_since_best, self.best["step"])
            log.info("ends early: %d evaluations without a better one than that of step %d (train.patience)", *found)

    def epoch(self, stop: StopRequest) -> bool:
        """What is left of an epoch: all of it, or after a resume what comes after the batches already seen.

        Returns whether the run has ended with it.
        """
        if self.batch == 0:
            self.epoch_start, self.this_epoch = self.data_generator.get_state(), Reading()
        self.data_generator.set_state(self.epoch_start)
        for X, Y in itertools.islice(self.streams.epoch(self.data_generator), self.batch, None):
            self.train_step(X, Y)
            progress = self.progress()
            ended = progress >= 1
            if ended or self.due(self.intervals.log_every, self.eval_every, self.epoch_steps):
                self.log_step()
            if ended or self.due(self.eval_every):
                self.evaluate()
            elif stop.exit_code or self.save_is_due():
                self.save_last()
            if self.has_ended(progress):
                return True
            if stop.exit_code:
                saved = f"saved {self.directory / checkpoint.LAST}: go on with resume={self.directory}"
                raise Stopped(f"stopped at step {self.step}: {saved}", stop.exit_code)
        self.batch, self.state = 0, None
        return False

    def has_ended(self, progress: float) -> bool:
        return progress >= 1 or self.limits.out_of_patience(self.evaluations_since_best)

    def train_step(self, X: Tensor, Y: Tensor) -> None:
        """One step on X, Y (B, T) from the carried state, or where nothing is carried from the zero state."""
        recipe = self.recipe
        if self.state is None or not self.streams.carries_state:
            self.state = self.model.begin_state(X.shape[0], X.device)
        set_lr(self.optimizer, recipe.lr * compute_lr_factor(self.progress(), recipe.schedule, recipe.warmup))
        self.model.train()
        self.optimizer.zero_grad()
        loss, self.state = back_propagate(self.model, X, Y, self.state, recipe.micro_batches, recipe.precision)
        norm = grad_clipping(self.params, recipe.grad_clip)
        self.optimizer.step()
        self.step, self.batch, self.chars = self.step + 1, self.batch + 1, self.chars + Y.numel()
        if self.average is not None:
            self.average.add(self.step)
        self.meter.add(self.step, loss, norm, Y.numel(), recipe.grad_clip)

    def due(self, *every: int) -> bool:
        return any(self.step % steps == 0 for steps in every)

    def save_is_due(self) -> bool:
        steps, minutes = self.intervals.save_every, self.intervals.save_minutes
        by_time = minutes is not None and time.perf_counter() - self.saved > minutes * 60
        return by_time or (steps is not None and self.due(steps))

    def progress(self) -> float:
        return self.limits.progress(self.step, self.epoch_steps, self.seconds)

    @property
    def seconds(self) -> float:
        """Since the start of the run, evaluation and what came before a resume included."""
        return time.perf_counter() - self.started

    @property
    def cpu_seconds(self) -> float | None:
        """What `seconds` is, of the CPU time of all threads; None if the run went on from a file that lacks it."""
        return None if self.cpu_started is None else time.process_time() - self.cpu_started

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
        self.check(self.model.book_weights())
        val = evaluate_pieces(self.model, self.val_pieces)
        values = (
            make_score_tags("train", self.since_evaluation.score) | make_score_tags("val", val) | self.position_tags()
        )
        values |= self.since_evaluation.gradient_tags() | {"speed/chars_per_s": self.chars_per_second}
        for k, gates in enumerate(collect_gate_openings(self.model, self.some_text)):
            values |= {f"gates/layer{k}_{gate}": opening.mean().item() for gate, opening in gates.items()}
        before = self.best["loss/val"]
        is_best = val.nats_per_char < before
        if self.baseline is not None:
            values |= make_baseline_tags(self.baseline, min(val.nats_per_char, before))
        self.tracker.evaluation(self.step, values, self.sample(), " (best)" if is_best else "")
        if self.baseline is not None and val.nats_per_char < self.baseline.nats_per_char <= before:
            log.info("passes the best n-gram (%s, %.4f nats)", self.baseline.name, self.baseline.nats_per_char)
        self.evaluations_since_best += 1
        if is_best:
            self.best, self.evaluations_since_best = {"step": self.step, **values}, 0
        self.since_evaluation = Reading()
        tensors, record = self.save_last()
        if is_best:
            checkpoint.save_checkpoint(self.directory / checkpoint.BEST, tensors, record)
        self.clock = time.perf_counter()

    def save_last(self) -> tuple[Tensors, dict]:
        """Write `last`, and return what was written. Diverged, and nothing written, if a number is not finite."""
        began = time.perf_counter()
        tensors, record = capture(self)
        tensors, record = self.model.book_weights() | tensors, self.record | record
        self.check(tensors)
        self.tracker.flush()
        checkpoint.save_last_checkpoint(self.directory, tensors, record)
        self.saved = time.perf_counter()
        self.clock += self.saved - began
        return tensors, record

    def check(self, tensors: Tensors) -> None:
        """Diverged if a step, or one of the tensors, is not finite. Waits for the device."""
        self.meter.check()
        if name := checkpoint.find_unsound_tensor(tensors):
            raise Diverged(f"training diverged at step {self.step}: {name} is not finite, or too large: lower train.lr")

    @property
    def chars_per_second(self) -> float:
        return self.chars / self.training_seconds
