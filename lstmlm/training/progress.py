"""What a run shows on the screen while it trains: a bar, a line of figures at each evaluation, and a sample under it.

Lines come at a human pace. Where evaluations are far apart, a preview comes between two of them: it is shown, and
changes nothing of the run.
"""

import logging
import time

from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import compute_perplexity
from lstmlm.system.bar import Bar
from lstmlm.system.columns import measure_reading_width, measure_width, wrap
from lstmlm.system.duration import format_duration
from lstmlm.system.escape import escape_controls
from lstmlm.training.plan import Limits

log = logging.getLogger("lstmlm")

LONGEST_GAP = 20.0  # seconds between two lines of a run of less than ten minutes
LINES_OF_A_LONG_RUN, LINES_OF_A_SHORT_RUN = 30, 5  # at least so many lines come, spaced evenly
SHORTEST_GAP = 4.0  # seconds
SHARE = 0.01  # of the time: the most that previews take
EARLY = 0.6  # of a gap: a preview may come so early if the next evaluation would be late
BAR_EVERY = 0.2  # seconds between two drawings of the bar
BAR_ROOM = 18  # columns for the bar and its percentage
SAMPLE_LINES = 3
PREVIEW_CHARS = 1000  # of the validation text are scored for a preview


class Progress:
    """One for a run.

    `has_dropout` is that of the model in training. `expected_seconds` is how long training is expected to take, None if
    that is not known. `resumed_at` is the step at which a run is resumed.
    """

    def __init__(
        self,
        limits: Limits,
        steps_per_epoch: int,
        has_dropout: bool,
        expected_seconds: float | None = None,
        resumed_at: int | None = None,
    ) -> None:
        self.limits, self.steps_per_epoch, self.has_dropout = limits, steps_per_epoch, has_dropout
        self.step, self.seconds = resumed_at or 0, 0.0  # of the run so far
        self.started: tuple[int, float, float] | None = None  # step, seconds and progress when this process began
        self.since_line = Score(0.0, 0)  # of the training text since the last line
        self.chars_per_second = 0.0
        self.line_at = self.drawn_at = time.perf_counter()
        self.gap = choose_gap(expected_seconds)
        self.bar = Bar(total=1.0, dynamic_ncols=True, bar_format="{percentage:3.0f}%|{bar}| {desc}")

    # The bar

    def advance(self, step: int, seconds: float) -> None:
        """The run is at this step, after so many seconds; the bar follows from time to time."""
        if self.started is None:
            self.started = (self.step, seconds, self.limits.progress(self.step, self.steps_per_epoch, seconds))
        self.step, self.seconds = step, seconds
        if not self.bar.disable and time.perf_counter() - self.drawn_at > BAR_EVERY:
            self.draw_bar()

    def draw_bar(self) -> None:
        self.drawn_at = time.perf_counter()
        self.bar.n = min(1.0, self.fraction)
        self.bar.set_description_str(self.describe_position(measure_width() - BAR_ROOM), refresh=False)
        self.bar.refresh()

    def describe_position(self, room: int) -> str:
        """Where the run is, how long it will take, its loss and its speed, as far as `room` columns allow."""
        steps, left = self.limits.count_steps(self.steps_per_epoch), self.estimate_seconds_left()
        parts = [f"step {self.step:,}" + ("" if steps is None else f" of {steps:,}")]
        if self.is_limited_by_time():
            parts = [f"{self.seconds:.0f} of {self.limits.max_seconds:g} s"]
        if left is not None:
            parts.append(f"{format_duration(left)} left")
        if self.since_line.num_chars:
            parts.append(f"loss {self.since_line.nats_per_char:.3f}")
            parts.append(f"{self.chars_per_second:,.0f} chars/s")
        while len(", ".join(parts)) > room and len(parts) > 1:
            parts.pop()
        return ", ".join(parts)

    @property
    def fraction(self) -> float:
        """0 at the start, 1 at the end."""
        return self.limits.progress(self.step, self.steps_per_epoch, self.seconds)

    def is_limited_by_time(self) -> bool:
        """Will train.max_seconds end the run, as it goes now?"""
        return self.limits.max_seconds is not None and self.seconds / self.limits.max_seconds >= self.fraction

    def estimate_seconds_left(self) -> float | None:
        """Of training with its evaluations; None as long as nothing is known."""
        if self.is_limited_by_time() and self.limits.max_seconds is not None:
            return max(0.0, self.limits.max_seconds - self.seconds)
        if self.started is None or (passed := self.fraction - self.started[2]) <= 0:
            return None
        return max(0.0, (1 - self.fraction) / passed * (self.seconds - self.started[1]))

    # The lines

    def count(self, train: Score, chars_per_second: float) -> None:
        """So much of the training text was scored since the last call."""
        self.since_line += train
        self.chars_per_second = chars_per_second

    def show_legend(self) -> None:
        """What the lines mean."""
        under = ", under dropout" if self.has_dropout else ""
        log.info("losses in nats per character; train: since the line before%s;", under)
        log.info("ppl: perplexity of val; *: best so far; ~: of the first %s characters of val", f"{PREVIEW_CHARS:,}")

    def show_start(self, sample: str) -> None:
        """What the model writes before the first step."""
        log.info("step 0  before training")
        self.show_sample(sample)
        self.begin_gap()

    def show_evaluation(self, epoch: float, val: float, is_best: bool, sample: str) -> None:
        """The line of an evaluation and its sample; `val` is in nats per character."""
        self.show_line(epoch, f"val {val:.3f}  ppl {format_perplexity(val)}{' *' * is_best}")
        self.show_sample(sample)
        self.begin_gap()

    def show_preview(self, epoch: float, val: float, sample: str, cost: float) -> None:
        """A line and a sample between two evaluations; `val` is in nats per character. It took `cost` seconds."""
        self.show_line(epoch, f"val ~{val:.3f}")
        self.show_sample(sample)
        self.gap = max(self.gap, cost / SHARE)
        self.begin_gap()

    def show_line(self, epoch: float, val: str) -> None:
        parts = [f"step {self.step:,}", f"epoch {epoch:.1f}" if epoch < 100 else f"epoch {epoch:,.0f}"]
        if self.since_line.num_chars:
            parts.append(f"train {self.since_line.nats_per_char:.3f}")
        parts.append(val)
        left = self.estimate_seconds_left()
        if left is not None and self.fraction < 1:
            parts.append(f"{format_duration(left)} left")
        log.info("%s", "  ".join(parts))

    def show_sample(self, sample: str) -> None:
        if lines := format_sample(sample, measure_reading_width())[:SAMPLE_LINES]:
            log.info("%s", "\n".join(lines))

    def begin_gap(self) -> None:
        self.since_line, self.line_at = Score(0.0, 0), time.perf_counter()

    def is_preview_due(self, steps_to_evaluation: int) -> bool:
        """Has no line come for long, and will none come soon? The next evaluation is after so many steps."""
        waited = time.perf_counter() - self.line_at
        if waited < EARLY * self.gap or self.started is None or self.step == self.started[0]:
            return False
        per_step = (self.seconds - self.started[1]) / (self.step - self.started[0])
        left = self.estimate_seconds_left()
        soon = min(steps_to_evaluation * per_step, float("inf") if left is None else left)
        return waited + soon > self.gap

    def close(self) -> None:
        if not self.bar.disable:
            self.draw_bar()  # a notebook colours a bar that ends early as failed
        self.bar.close()


def choose_gap(expected_seconds: float | None) -> float:
    """The longest time between two lines, in seconds."""
    if expected_seconds is None:
        return LONGEST_GAP
    if expected_seconds >= LINES_OF_A_LONG_RUN * LONGEST_GAP:
        return expected_seconds / LINES_OF_A_LONG_RUN
    return min(LONGEST_GAP, max(SHORTEST_GAP, expected_seconds / LINES_OF_A_SHORT_RUN))


def format_perplexity(nats: float) -> str:
    """Two decimals where they mean something."""
    perplexity = compute_perplexity(nats)
    return f"{perplexity:.2f}" if perplexity < 100 else f"{perplexity:.3g}"


def format_sample(text: str, width: int) -> list[str]:
    """The lines of a sample for the screen: indented, with its own line ends, and without its empty lines."""
    lines = [line for line in escape_controls(text.expandtabs(4)).split("\n") if line.strip()]
    return [part for line in lines for part in wrap(line.rstrip(), width - 1, "  ")]
