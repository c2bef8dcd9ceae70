"""What the training loop costs beside its arithmetic: python benchmarks/loop.py [--steps 200] [--quick] [--json]

Real runs of `python train.py`'s default size, one for each backend of the LSTM, on one thread. Of the wall time of the
training steps, evaluation and saving left out, the shares that pass in

  forward    the model and its loss
  backward   the gradients
  update     clipping, the optimizer, and setting gradients to none
  step       the rest of a step: state, schedule, meter
  logging    the points of the curves, every train.log_every steps
  between    the next batch, the limits, what is due

The aim is 95 % in the first three. Shares of a busy machine are right, its milliseconds are not.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy and torch

import torch
from machine import machine

from lstmlm.layers.registry import BACKENDS
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.execute import execute
from lstmlm.runs.prepare import prepare
from lstmlm.settings.overrides import compose_settings
from lstmlm.training import backprop, step, trainer

ARITHMETIC = ("forward", "backward", "update")
SHARES = (*ARITHMETIC, "step", "logging", "between")
# What is measured: part, the object whose function it is, and the function's name
PLACES = [
    ("forward", RNNModel, "forward"),
    ("forward", backprop.functional, "cross_entropy"),
    ("backward", torch.Tensor, "backward"),
    ("update", torch.optim.Optimizer, "zero_grad"),
    ("update", step, "compute_norm"),
    ("update", step, "scale_gradients"),
    ("update", step.adamw_native, "make_step"),
    ("update", torch.optim.AdamW, "step"),
    ("step", trainer.Trainer, "train_on_batch"),
    ("logging", trainer.Trainer, "log_step"),
    ("evaluation", trainer.Trainer, "evaluate"),
    ("saving", trainer.Trainer, "save_last"),
    ("between", trainer.Trainer, "fit"),
]


class Clock:
    """Seconds by part; those of a part that is called by another are not the other's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.running: list[str] = []
        self.since = 0.0

    def turn(self) -> None:
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    def on(self, part: str, function: Callable) -> Callable:
        """The function, its time counted; what evaluation or saving calls is theirs, and nothing counts outside fit."""

        def timed(*arguments, **named):
            apart = self.running and self.running[-1] in ("evaluation", "saving")
            if apart or not (self.running or part == "between"):
                return function(*arguments, **named)
            self.turn()
            self.running.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.turn()
                self.running.pop()

        return timed


@contextmanager
def measured(clock: Clock):
    patches = [patch.object(home, name, clock.on(part, getattr(home, name))) for part, home, name in PLACES]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        patch.stopall()


def shares(backend: str, steps: int) -> dict:
    """One row of the table."""
    words = [f"backend={backend}", "threads=1", f"train.max_steps={steps}", "train.max_epochs=null"]
    words += ["train.baselines=false", "train.eval_chars=1000"]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, measured(clock):
        execute(prepare(compose_settings(words)), Path(folder))
    total = sum(clock.seconds[part] for part in SHARES)
    row = {"backend": backend, "ms_per_step": 1000 * total / steps}
    row |= {part: clock.seconds[part] / total for part in SHARES}
    row |= {"arithmetic": sum(clock.seconds[part] for part in ARITHMETIC) / total}
    return row | {f"{apart}_seconds": clock.seconds[apart] for apart in ("evaluation", "saving")}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--quick", action="store_true", help="40 steps of fused and nn alone")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    chosen = options.parse_args()
    backends, steps = (("fused", "nn"), 40) if chosen.quick else (tuple(BACKENDS["lstm"]), chosen.steps)
    rows = [shares(backend, steps) for backend in backends]
    if chosen.json:
        print(json.dumps(rows))
        return
    print(machine() + "\n\n| backend | ms a step | " + " | ".join(SHARES) + " | arithmetic |\n" + "|---" * 9 + "|")
    for row in rows:
        cells = [f"{row[part]:.1%}" for part in (*SHARES, "arithmetic")]
        print(f"| {row['backend']} | {row['ms_per_step']:.1f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
