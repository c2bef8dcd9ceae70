"""The training loop: truncated back-propagation through time with clipping, evaluation and checkpoints.

B = batch_size, T = num_steps.
"""

import itertools
import logging
import time

import torch
from torch import Tensor

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.distributed.ranks import ONE_PROCESS, Ranks
from lstmlm.evaluation.scoring import Score
from lstmlm.model.rnn_model import State
from lstmlm.system.errors import Stopped
from lstmlm.system.signals import Interrupted, StopRequest
from lstmlm.text.batches import Streams
from lstmlm.training.clock import Clock
from lstmlm.training.evaluator import Evaluator
from lstmlm.training.learner import Learner
from lstmlm.training.loop_state import LoopState
from lstmlm.training.meter import Meter, Reading
from lstmlm.training.metrics import RunState
from lstmlm.training.optim import compute_lr_factor, set_lr
from lstmlm.training.plan import Plan
from lstmlm.training.saver import Saver, check_finite
from lstmlm.training.stream_step import train_on_streams
from lstmlm.training.tags import make_score_tags
from lstmlm.training.tracking import Tracker

log = logging.getLogger("lstmlm")


class Trainer:
    """Trains a learner on streams by a plan, evaluates it and saves checkpoints.

    `data_generator` draws the order of the data. `cpu_started` is what time.process_time() gave when the run began.
    `ranks` are the other processes of the run, which follow this one (follower.py).
    """

    def __init__(
        self,
        learner: Learner,
        streams: Streams,
        data_generator: torch.Generator,
        plan: Plan,
        *,
        evaluator: Evaluator,
        saver: Saver,
        tracker: Tracker,
        cpu_started: float,
        ranks: Ranks = ONE_PROCESS,
    ) -> None:
        self.learner, self.streams, self.data_generator, self.plan = learner, streams, data_generator, plan
        self.evaluator, self.saver, self.tracker, self.ranks = evaluator, saver, tracker, ranks
        self.start: Checkpoint | None = None  # where `fit` begins
        self.state = LoopState(data_generator.get_state(), Meter(streams.device), Clock(cpu_started))
        self.val_scores: dict[int, Score] = {}  # of this process: of the best and the last evaluation, by step
        self.eval_every = plan.intervals.eval_every or streams.steps_per_epoch

    def restore(self, loaded: Checkpoint) -> None:
        """Continue from a checkpoint of the same run, written on any backend.

        KeyError or RuntimeError if its state is not that of such a trainer.
        """
        self.start = loaded
        self.learner.restore(loaded)
        zero_state = self.learner.model.begin_state(self.streams.batch_size, self.streams.device)
        self.state.restore(loaded, zero_state, self.streams.share)
        if not self.saver.restore_best(loaded):
            self.state.forget_best()

    # The loop

    def fit(self, stop: StopRequest) -> None:
        """Train until a limit is reached; Stopped, after the step is finished and saved, if `stop` asks for it."""
        state = self.state
        if self.start is None or state.step == 0:
            self.start = self.save_last()
        self.ranks.begin(self.start, stop)
        self.start = None
        self.show_start()
        state.clock.start_lap()
        if state.evaluation_due:
            set_lr(self.learner.optimizer, self.compute_lr(state.step - 1))  # which the evaluation reports
            self.evaluate(stop)
        # One step at least, so that there are weights to score, however short max_seconds is
        ended = state.step > 0 and self.has_ended(self.progress())
        while not ended:
            ended = self.train_epoch(stop)
        if self.learner.loss_scale is not None:
            log.info("train.precision=fp16: %s", self.learner.loss_scale.describe(state.step))
        if self.is_out_of_patience() and self.progress() < 1:
            found = (state.evaluations_since_best, state.best["step"])
            log.info("ends early: %d evaluations without a better one than that of step %d (train.patience)", *found)

    def train_epoch(self, stop: StopRequest) -> bool:
        """Train on the batches of an epoch that are left: all, or after a resume those not seen yet.

        Returns whether the run has ended.
        """
        state = self.state
        if state.batch == 0:
            state.epoch_start, state.this_epoch = self.data_generator.get_state(), Reading()
        self.data_generator.set_state(state.epoch_start)
        for X, Y in itertools.islice(self.streams.epoch(self.data_generator), state.batch, None):
            self.train_on_batch(X, Y)
            progress = self.progress()
            if progress >= 1 or self.is_due(self.eval_every):
                self.evaluate(stop)
            else:
                if self.is_due(self.plan.intervals.log_every, self.streams.steps_per_epoch):
                    self.log_step()
                self.show_progress()
                if stop.exit_code or self.save_is_due():
                    self.save_last()
            if self.has_ended(progress):
                return True
            self.stop_if_asked(stop)
        state.batch, state.carried = 0, None
        return False

    def train_on_batch(self, X: Tensor, Y: Tensor) -> None:
        """One step on X, Y (B, T), the own lanes, from the carried state, or from the zero state where none is."""
        state, learner = self.state, self.learner
        lr = self.compute_lr(state.step)
        set_lr(learner.optimizer, lr)
        with self.ranks.step(lr):
            done, state.carried = train_on_streams(
                learner, self.streams, state.carried, X, Y, self.plan.recipe, self.ranks
            )
        chars = done.num_targets
        if chars is None:
            chars = self.streams.count_targets(Y) * self.streams.share.count
        state.count_step(chars)
        if learner.average is not None:
            learner.average.add(state.step)
        state.meter.add(state.step, done.loss, done.norm, chars, self.plan.recipe.grad_clip)

    def compute_lr(self, step: int) -> float:
        """The learning rate of the step after so many."""
        recipe, limits, per_epoch = self.plan.recipe, self.plan.limits, self.streams.steps_per_epoch
        seconds = self.state.clock.seconds
        progress, later = (limits.progress(steps, per_epoch, seconds) for steps in (step, step + 1))
        step_share = 0.0 if recipe.rules == 1 else later - progress
        return recipe.lr * compute_lr_factor(progress, recipe.schedule, recipe.warmup, step_share)

    def stop_if_asked(self, stop: StopRequest) -> None:
        """Stopped if a signal has arrived; the step is saved."""
        if stop.exit_code:
            saved = f"saved {self.saver.last}: resume the run with resume={self.saver.directory}"
            raise Stopped(f"stopped at step {self.state.step}: {saved}", stop.exit_code, self.saver.directory)

    # When it ends, and when something is due

    def progress(self) -> float:
        """0 at the start, at least 1 when a limit of epochs, steps or seconds is reached."""
        return self.plan.limits.progress(self.state.step, self.streams.steps_per_epoch, self.state.clock.seconds)

    def has_ended(self, progress: float) -> bool:
        return progress >= 1 or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        return self.plan.limits.is_out_of_patience(self.state.evaluations_since_best)

    def name_end(self) -> RunState:
        """How the run ended, once `fit` has returned."""
        steps = self.plan.limits.count_steps(self.streams.steps_per_epoch)
        all_steps = steps is not None and self.state.step >= steps
        return "finished" if all_steps or self.is_out_of_patience() else "out of time"

    def is_due(self, *intervals: int) -> bool:
        """Is the step a multiple of one of these?"""
        return any(self.state.step % interval == 0 for interval in intervals)

    def save_is_due(self) -> bool:
        intervals = self.plan.intervals
        by_steps = intervals.save_every is not None and self.is_due(intervals.save_every)
        return by_steps or self.saver.is_due(intervals.save_minutes)

    # What is logged, evaluated and saved

    def log_step(self) -> None:
        """Read the meter: only this and an evaluation wait for the device."""
        state = self.state
        reading = state.meter.read()
        seconds = state.clock.end_lap()
        state.count_reading(reading)
        speed = {"speed/chars_per_s": reading.chars / seconds}
        self.tracker.track_step(state.step, reading.score, self.position_tags() | reading.gradient_tags() | speed)
        state.clock.start_lap()

    def evaluate(self, stop: StopRequest) -> None:
        """Log, evaluate on the validation text and save, as `best` too if the loss is the lowest so far.

        The step is saved before, so a signal or a kill costs the evaluation alone: the resumed run begins with it.
        Stopped if a signal arrives.
        """
        state = self.state
        state.evaluation_due = True
        self.save_last()
        self.log_step()
        try:
            with stop.interrupts():
                found = self.evaluator.evaluate(self.learner.model, state.best["loss/val"])
        except Interrupted:
            self.stop_if_asked(stop)
            raise
        figures = make_score_tags("train", state.since_evaluation.score) | found.tags | self.position_tags()
        figures |= state.since_evaluation.gradient_tags() | {"speed/chars_per_s": self.chars_per_second}
        self.tracker.progress.advance(state.step, state.clock.seconds)
        self.tracker.track_evaluation(state.step, figures, found.sample, found.is_best)
        if found.passed is not None:
            log.info("passes the best n-gram (%s, %.4f nats)", found.passed.name, found.passed.nats_per_char)
        state.count_evaluation(figures, found.is_best)
        best = state.best.get("step")
        self.val_scores = {step: score for step, score in self.val_scores.items() if step == best}
        self.val_scores[state.step] = found.val
        saved = self.save_last()
        if found.is_best:
            self.saver.save_best(saved)
        self.tracker.track_portrait(state.step, self.learner.model, state.clock.training_seconds)
        state.clock.start_lap()

    def show_start(self) -> None:
        """Say what the lines mean and, before the first step, show what the model writes."""
        self.tracker.progress.show_legend()
        if self.state.step == 0:
            self.tracker.progress.show_start(self.evaluator.sample.write(self.learner.model))

    def show_progress(self) -> None:
        """Move the bar and, where evaluations are far apart, show a preview. The run is the same without."""
        state, progress = self.state, self.tracker.progress
        progress.advance(state.step, state.clock.seconds)
        if progress.is_preview_due(self.eval_every - state.step % self.eval_every):
            with state.clock.pause_lap():
                began = time.perf_counter()
                val, sample = self.evaluator.preview(self.learner.model)
                cost = time.perf_counter() - began
            epoch = state.step / self.streams.steps_per_epoch
            progress.show_preview(epoch, val.nats_per_char, sample, cost)

    def position_tags(self) -> dict[str, float]:
        state = self.state
        return {
            "progress/epoch": state.step / self.streams.steps_per_epoch,
            "progress/chars": state.chars,
            "optim/lr": self.learner.optimizer.param_groups[0]["lr"],
            **({} if self.learner.loss_scale is None else self.learner.loss_scale.make_tags()),
        }

    def save_last(self) -> Checkpoint:
        """Write `last`, and return what was written. Diverged, and nothing written, if a number is not finite."""
        with self.state.clock.pause_lap():
            tensors = self.learner.to_tensors() | self.state.to_tensors(self.gather_carried())
            record = self.state.to_record(self.streams.steps_per_epoch)
            self.check_finite(tensors)
            self.tracker.flush()
            return self.saver.save_last(tensors, record)

    def gather_carried(self) -> State | None:
        """The carried state of all lanes, each part (L, B, H), without those that only fill up the last processes."""
        gathered = self.ranks.gather(self.state.carried)
        lanes = self.streams.batch_size
        return None if gathered is None else tuple(part[:, :lanes].contiguous() for part in gathered)

    def check_finite(self, tensors: dict[str, Tensor]) -> None:
        """Diverged if a step, or one of the tensors, is not finite. Waits for the device."""
        self.state.meter.check()
        check_finite(tensors, self.state.step)

    @property
    def chars_per_second(self) -> float:
        """In training steps alone."""
        return self.state.chars / self.state.clock.training_seconds
