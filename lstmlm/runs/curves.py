"""The curves of a run as a verdict reads them: noise measured, odd points smoothed. Losses in nats per character."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEVEL = 0.01  # nats: a smaller change of the loss counts as none
APART = 0.1  # of the run: points that are nearer than this are no evidence of a trend


@dataclass(frozen=True)
class Point:
    """An evaluation: the training loss is that of the steps since the one before, under dropout where there is any."""

    step: int
    train: float
    val: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.train) and math.isfinite(self.val)


@dataclass(frozen=True)
class Curves:
    """`points` are smoothed and at least APART of the run apart, the last one included; `noise` is in nats."""

    points: tuple[Point, ...]
    noise: float

    @property
    def best(self) -> Point:
        """The point of the lowest validation loss."""
        return min(self.points, key=lambda point: point.val)

    @property
    def last(self) -> Point:
        return self.points[-1]

    def find_before(self, fraction: float) -> Point:
        """The last point of this fraction of the run, or else the first point."""
        before = [point for point in self.points if point.step <= fraction * self.last.step]
        return before[-1] if before else self.points[0]


def make_curves(points: Sequence[Point]) -> Curves:
    """The curves of finite points, at least one."""
    train, val = [point.train for point in points], [point.val for point in points]
    noise = max(LEVEL, 2 * measure_jitter(train), 2 * measure_jitter(val))
    smoothed = [Point(p.step, *losses) for p, *losses in zip(points, smooth(train), smooth(val), strict=True)]
    return Curves(tuple(thin(smoothed)), noise)


def thin(points: Sequence[Point]) -> list[Point]:
    """The last point, and of those before it the ones that are APART of the run or more from the next one kept."""
    kept = [points[-1]]
    for point in reversed(points[:-1]):
        if kept[-1].step - point.step >= APART * points[-1].step:
            kept.append(point)
    return kept[::-1]


def smooth(values: Sequence[float]) -> list[float]:
    """The medians of three neighbours, so that one odd evaluation does not decide. A short curve is not changed."""
    if len(values) < 6:
        return list(values)
    starts = (min(max(k - 1, 0), len(values) - 3) for k in range(len(values)))
    return [median(values[start : start + 3]) for start in starts]


def measure_jitter(values: Sequence[float]) -> float:
    """The standard deviation of a curve's noise, from the second differences of its later half; 0 for a short curve."""
    if len(values) < 6:
        return 0.0
    bends = [values[k - 1] - 2 * values[k] + values[k + 1] for k in range(len(values) // 2, len(values) - 1)]
    return median(map(abs, bends)) / (0.6745 * math.sqrt(6))  # of normal noise
