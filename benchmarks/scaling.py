"""What several processes gain, and what their communication costs.

  python benchmarks/scaling.py speed [--rounds 5] [--steps 60]
      runs in turns: one process with two threads, two processes with one thread each (1x512, batch of 32)
  torchrun --standalone --nproc-per-node=2 benchmarks/scaling.py messages
      messages between processes, by gloo
  torchrun --standalone --nproc-per-node=2 benchmarks/scaling.py share [--steps 60]
      how much of a step is communication (1x512, batch of 32), which bounds what an overlap with computing could gain
  python benchmarks/scaling.py simulate
      up to 64 processes, by a model of computing, drawing dropout and communication

speed counts the characters per second of training (metrics.jsonl), without evaluations and saves. messages times the
all-reduce of a gradient, and the order before a step. share makes training steps in which the processes wait for each
other before the gradients are exchanged: waiting for the slower process is not communication. simulate measures on one
core how long a step with so many lanes takes (1x512) and how long their masks take to be drawn, scales both to larger
models by their arithmetic, and adds the ring all-reduce of the gradient, 2 (R - 1) messages of 1/R of its bytes, on
networks of several kinds. The time of each process varies from step to step (a standard deviation of 5 %), and the
slowest one counts. Nothing overlaps, as in the program.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import torch
from machine import machine
from torch import Tensor, nn

from lstmlm.distributed.place import find_place
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.shapes import count_params
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

if TYPE_CHECKING:
    from lstmlm.distributed.group import Group

ROOT = Path(__file__).resolve().parent.parent
RUN = ["backend=fused", "model.num_hiddens=512", "data.batch_size=32", "train.max_epochs=null", "sample.length=0"]
RUN += ["train.baselines=false", "train.portrait_share=0", "train.eval_chars=1000", "data.split=[0.98,0.01,0.01]"]
VOCAB, LANES, T = 65, 64, 64
SIZES = ((1, 512), (2, 512), (2, 1024), (3, 1024), (4, 2048))  # num_layers, num_hiddens
RECIPE = Recipe(1e-3, "constant", 0.0, grad_clip=1.0, ema=None, micro_batches=1, precision="float32")
# bytes a second in one direction, seconds for a message however short
NETWORKS = {"1 Gbit/s": (0.12e9, 100e-6), "10 Gbit/s": (1.2e9, 50e-6), "100 Gbit/s": (12e9, 15e-6)}
RANKS = (1, 2, 4, 8, 16, 32, 64)
SPREAD, STEPS = 0.05, 200  # of the simulation
PAYS = 1.3  # twice the processes pay if they are so many times as fast


# Speed of runs


def train(words: list[str], processes: int, steps: int) -> float:
    """Characters per second of training of a run."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    limits = [f"train.max_steps={steps}", f"train.eval_every={steps}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *launcher, str(ROOT / "train.py"), *RUN, *words, *limits, "hydra.run.dir=run"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(2 if processes == 1 else 1)}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        return json.loads((Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()[-1])["chars_per_s"]


def compare_speeds(rounds: int, steps: int) -> dict:
    """The runs take turns; ratio is the median over the rounds of that of a round."""
    rows = [(train(["threads=2"], 1, steps), train(["threads=1"], 2, steps)) for _ in range(rounds)]
    one, two = zip(*rows, strict=True)
    ratios = sorted(b / a for a, b in rows)
    found = {"one process, 2 threads": median(one), "2 processes": median(two), "ratio": median(ratios)}
    return found | {"lowest ratio": ratios[0], "highest ratio": ratios[-1], "rounds": rounds, "steps": steps}


# Messages


def measure(action: Callable[[], object], seconds: float = 0.5) -> float:
    """The median seconds of an action."""
    action()
    taken, began = [], time.perf_counter()
    for _ in range(10_000):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
        if len(taken) >= 5 and time.perf_counter() - began > seconds:
            break
    return median(taken)


def measure_messages() -> list[dict]:
    """One row for an order, and one for the gradient of each size; the same number of repetitions on every process."""
    import torch.distributed as dist

    group = connect("messages")

    def repeat(action: Callable[[], object], times: int) -> float:
        taken = []
        for _ in range(times):
            dist.barrier()
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
        return median(taken)

    rows = [{"what": "an order", "bytes": 32, "ms": 1e3 * repeat(group.exchange, 200)}]
    for count in (1, 10_000, 100_000, 1_000_000, 4_000_000):
        message = torch.zeros(count)
        took = repeat(lambda message=message: dist.all_reduce(message), max(5, 200_000_000 // (count + 2_000_000)))
        rows.append({"what": f"{count:,} float32", "bytes": 4 * count, "ms": 1e3 * took})
    group.close()
    return rows if group.place.rank == 0 else []


# Communication in a step


class TimedAverages:
    """What a step asks of the group, with the seconds of waiting and of exchanging of each step."""

    def __init__(self, group: "Group") -> None:
        self.group, self.waiting, self.exchanging = group, list[float](), list[float]()

    def average(
        self, params: Sequence[nn.Parameter], loss: Tensor, num_targets: int | None
    ) -> tuple[Tensor, int | None]:
        import torch.distributed as dist

        arrived = time.perf_counter()
        dist.barrier()
        began = time.perf_counter()
        averaged = self.group.average(params, loss, num_targets)
        self.waiting.append(began - arrived)
        self.exchanging.append(time.perf_counter() - began)
        return averaged


def measure_share(steps: int) -> dict:
    """Medians over the steps of 1x512 with 32 lanes in all, in milliseconds; the order before a step is in it."""
    group = connect("share")
    model, lanes = RNNModel(ModelConfig(VOCAB, 512), "fused"), 32 // group.place.size
    learner, timed = Learner(model, build_optimizer(model, "adamw", 1e-3, 0.0)), TimedAverages(group)
    X, Y = torch.randint(VOCAB, (2, lanes, T))
    state, taken, orders = model.begin_state(lanes, "cpu"), [], []
    for _ in range(steps + 5):
        start = time.perf_counter()
        group.exchange()
        orders.append(time.perf_counter() - start)
        train_step(learner, X, Y, state, RECIPE, timed)
        taken.append(time.perf_counter() - start)
    group.close()
    parts = {"step": taken, "order": orders, "waiting": timed.waiting, "exchange": timed.exchanging}
    found = {f"{name}, ms": 1e3 * median(seconds[5:]) for name, seconds in parts.items()}
    shares = sorted(a / b for a, b in zip(timed.exchanging[5:], taken[5:], strict=True))
    found |= {"exchange, share of a step": median(shares)}
    found |= {"quartiles": [shares[len(shares) // 4], shares[3 * len(shares) // 4]], "steps": steps, "rank": 0}
    return found if group.place.rank == 0 else {}


def connect(part: str) -> "Group":
    """The group of the processes that torchrun has started for this part."""
    from lstmlm.distributed.group import Group

    place = find_place()
    if place is None:
        raise SystemExit(f"error: {part}: start it with torchrun --standalone --nproc-per-node=2")
    return Group(place)


# Simulation


def measure_steps() -> dict[int, tuple[float, float]]:
    """Seconds on one core of a step of 1x512 with so many lanes, and of drawing the masks of LANES lanes."""
    model = RNNModel(ModelConfig(VOCAB, 512), "fused")
    learner = Learner(model, build_optimizer(model, "adamw", 1e-3, 0.0))
    drawing = measure(lambda: torch.rand(T, LANES, 512), 0.3)
    found = {}
    for ranks in RANKS:
        X, Y = torch.randint(VOCAB, (2, LANES // ranks, T))
        state = model.begin_state(len(X), "cpu")
        step = measure(lambda X=X, Y=Y, state=state: train_step(learner, X, Y, state, RECIPE), 1.0)
        found[ranks] = (step, drawing)
    return found


def simulate(ranks: int, step: float, drawing: float, num_bytes: int, network: tuple[float, float]) -> float:
    """Seconds of a step of so many processes: the mean of STEPS simulated ones."""
    bandwidth, latency = network
    chance = Random(ranks)
    ring = 2 * (ranks - 1) * (latency + num_bytes / ranks / bandwidth) if ranks > 1 else 0.0
    slowest = fmean(max(chance.gauss(1.0, SPREAD) for _ in range(ranks)) for _ in range(STEPS))
    return (step + drawing) * slowest + ring


def tabulate(measured: dict[int, tuple[float, float]]) -> list[dict]:
    """For each size and network: speed as a multiple of that of one process, and up to which number it pays."""
    base, rows = count_params(ModelConfig(VOCAB, 512)), []
    for layers, hiddens in SIZES:
        params = count_params(ModelConfig(VOCAB, hiddens, layers))
        for name, network in NETWORKS.items():
            seconds = {}
            for ranks, (step, drawing) in measured.items():
                arithmetic = params / base
                masks = drawing * layers * hiddens / 512
                seconds[ranks] = simulate(ranks, step * arithmetic, masks, 4 * params, network)
            speeds = {ranks: seconds[1] / taken for ranks, taken in seconds.items()}
            pays = 1
            for fewer, more in pairwise(speeds):
                if speeds[more] < PAYS * speeds[fewer]:
                    break
                pays = more
            rows.append({"size": f"{layers}x{hiddens}", "MB": 4 * params / 1e6, "network": name, "pays up to": pays})
            rows[-1] |= {"seconds": seconds[1], "speeds": speeds}
    return rows


def print_table(rows: list[dict]) -> None:
    print(
        "| model | gradient, MB | network | s a step | " + " | ".join(f"R = {k}" for k in RANKS[1:]) + " | pays up to |"
    )
    print("|---" * (5 + len(RANKS[1:])) + "|")
    for row in rows:
        cells = [f"{row['speeds'][ranks]:.1f}" for ranks in RANKS[1:]]
        start = f"| {row['size']} | {row['MB']:.0f} | {row['network']} | {row['seconds']:.2f} | "
        print(start + " | ".join(cells) + f" | {row['pays up to']} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "messages", "share", "simulate"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.what == "speed":
        print(machine(), json.dumps(compare_speeds(chosen.rounds, chosen.steps), indent=1), sep="\n")
    elif chosen.what == "messages":
        if rows := measure_messages():
            print(machine(), *map(json.dumps, rows), sep="\n")
    elif chosen.what == "share":
        if found := measure_share(chosen.steps):
            print(machine(), json.dumps(found, indent=1), sep="\n")
    else:
        measured = measure_steps()
        print(machine())
        print(
            {ranks: f"{step * 1e3:.0f} ms, masks {drawing * 1e3:.1f} ms" for ranks, (step, drawing) in measured.items()}
        )
        print_table(tabulate(measured))


if __name__ == "__main__":
    main()
