"""Speed of a training step: python benchmarks/train_speed.py [--sizes 1x256,2x256] [--precision float32,bf16] [--json]

A step is all of it: the batch from the text, forward, loss, backward, clipping, AdamW; one-hot inputs. The
contestants, all in one process and in turns, each with every number of threads:

  scratch   the book's loop, in the program's RNNModel        nn      torch.nn.LSTM, in the same RNNModel
  cell      a merged-gate cell, stepped, in the same          fused   FusedLayer, in the same
  book      the book's loop as printed: get_lstm_params, lstm, its own clipping (one layer only)

chars_per_s is the median over the rounds. ratio_to_nn compares with nn in float32 at its better number of threads: the
median of the ratios within a round. gflops counts what a contestant multiplies (a one-hot matrix too, where it is one);
gemm_share compares that with products of large matrices on as many threads. bound_share is the time that the least
arithmetic would take at that rate (input rows picked, not multiplied), divided by the time taken.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from statistics import median, quantiles

import torch
import torch.nn.functional as functional
from machine import machine

from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.scratch.lstm import get_lstm_params, init_lstm_state, lstm
from lstmlm.system.machine import keep_memory
from lstmlm.text.batches import SequentialStreams
from lstmlm.training.learner import Learner
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

BACKENDS = ("scratch", "cell", "nn", "fused")
PRECISIONS = ("float32", "bf16")  # fp16 is for a GPU: gpu.py
NN, PRODUCT = ("nn", "float32"), ("product", "float32")
# num_layers, num_hiddens, batch_size, num_steps, vocab_size: d2l's run, char-rnn's default, and around them
BOOK, CHAR_RNN = (1, 256, 32, 35, 28), (2, 128, 50, 50, 65)
AROUND = [(L, H, B, 64, 65) for L, H in ((1, 128), (1, 256), (2, 256), (1, 512), (2, 512), (1, 1024)) for B in (16, 32)]
SECONDS = 0.15  # of a turn, at least one step


class Contestant:
    """A model that trains on a text of its own, step after step."""

    def __init__(self, backend: str, precision: str, L: int, H: int, B: int, T: int, V: int) -> None:
        self.flops = B * T * (24 * H * H * (2 * L - 1) + 6 * H * V)
        if backend != "fused":
            self.flops += B * T * 16 * H * V  # the one-hot matrix times W_x, and its transpose in the gradient
        text = torch.randint(V, (200 * B * T,), generator=torch.Generator().manual_seed(0))
        streams = SequentialStreams(text, B, T)
        self.batches = itertools.chain.from_iterable(streams.epoch(torch.Generator()) for _ in itertools.count())
        self.start = self.start_book if backend == "book" else self.start_model
        self.step = self.start(backend, precision, L, H, B, V)

    def start_model(self, backend: str, precision: str, L: int, H: int, B: int, V: int) -> Callable[[], None]:
        model = RNNModel(ModelConfig(V, H, L), backend)
        initialize(model, "default", torch.Generator().manual_seed(0))
        learner = Learner(model, build_optimizer(model, "adamw", 1e-3, 0.01))
        recipe = Recipe(1e-3, "constant", 0.0, grad_clip=1.0, ema=None, micro_batches=1, precision=precision)
        state = model.begin_state(B, "cpu")

        def step() -> None:
            nonlocal state
            X, Y = next(self.batches)
            _, _, state, _ = train_step(learner, X, Y, state, recipe)

        return step

    def start_book(self, backend: str, precision: str, L: int, H: int, B: int, V: int) -> Callable[[], None]:
        params = get_lstm_params(V, H, "cpu")
        state = init_lstm_state(B, H, "cpu")

        def step() -> None:
            nonlocal state
            X, Y = next(self.batches)
            inputs = functional.one_hot(X.T, V).float()
            outputs, state = lstm(inputs, tuple(part.detach() for part in state), params)
            functional.cross_entropy(outputs, Y.T.flatten()).backward()
            norm = torch.sqrt(sum((param.grad**2).sum() for param in params))
            with torch.no_grad():
                for param in params:
                    param -= 0.1 * param.grad * min(1.0, 1.0 / norm.item())
                    param.grad.zero_()

        return step


def large_product() -> Callable[[], None]:
    """2 * 1024^3 operations at once."""
    A, B, out = (torch.randn(1024, 1024) for _ in range(3))
    return lambda: torch.mm(A, B, out=out)


def seconds(step: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


def compare(size: tuple[int, ...], backends: list[tuple[str, str]], threads: list[int], rounds: int) -> list[dict]:
    """One row for each contestant, a backend with a precision, and number of threads."""
    L, H, B, T, V = size
    contestants = {name: Contestant(*name, *size) for name in backends}
    least = B * T * (24 * H * H * (2 * L - 1) + 6 * H * V)
    turns = {(name, n): contestant.step for name, contestant in contestants.items() for n in threads}
    turns |= {(PRODUCT, n): large_product() for n in threads}
    taken, counts = {turn: [] for turn in turns}, {}
    for round in range(-1, rounds):
        for (name, n), step in turns.items():
            torch.set_num_threads(n)
            if round < 0:  # warm up, and see how many fit into a turn
                step()
                counts[name, n] = max(1, round_down(SECONDS / seconds(step, 2)))
            else:
                taken[name, n].append(seconds(step, counts[name, n]))
    nn = min((taken[NN, n] for n in threads), key=median)
    rows = []
    for (name, n), times in taken.items():
        if name == PRODUCT:
            continue
        rate, product = median(times), 2 * 1024**3 / median(taken[PRODUCT, n])
        low, _, high = quantiles([B * T / time for time in times], n=4)
        rows.append(
            {
                "backend": name[0],
                "precision": name[1],
                "layers": L,
                "hidden": H,
                "batch": B,
                "steps": T,
                "vocab": V,
                "threads": n,
            }
            | {"chars_per_s": B * T / rate, "quartiles": [low, high]}
            | {"ratio_to_nn": median(theirs / ours for ours, theirs in zip(times, nn, strict=True))}
            | {"gflops": contestants[name].flops / rate / 1e9, "gemm_share": contestants[name].flops / rate / product}
            | {"bound_share": least / product / rate}
        )
    return rows


def round_down(number: float) -> int:
    return int(min(number, 1000))


def parse_size(word: str) -> list[tuple[int, ...]]:
    L, H = map(int, word.split("x"))
    return [(L, H, B, 64, 65) for B in (16, 32)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", help="layers x hidden units, with batch_size 16 and 32, num_steps 64: 1x256,2x256")
    options.add_argument("--backends", default=",".join(BACKENDS), help="which to compare; nn is always among them")
    options.add_argument("--precision", default="float32", help=f"a list of {', '.join(PRECISIONS)} (default: float32)")
    options.add_argument("--threads", help="numbers of threads: 1,2 (default: 1 and all cores)")
    options.add_argument("--rounds", type=int, help="turns of each contestant, at least 2 (default: 9; quick: 5)")
    options.add_argument("--quick", action="store_true", help="1x256 and 2x256, nn and fused alone")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    options = options.parse_args()
    backends = ["nn", "fused"] if options.quick else options.backends.split(",")
    precisions = options.precision.split(",")
    if unknown := [precision for precision in precisions if precision not in PRECISIONS]:
        raise SystemExit(f"--precision: {unknown[0]} is none of {', '.join(PRECISIONS)}")
    contestants = [(backend, precision) for precision in precisions for backend in backends]
    contestants += [NN] * (NN not in contestants)
    keep_memory()  # as in a run
    cores = torch.get_num_threads()
    threads = sorted({1, cores}) if options.threads is None else [int(n) for n in options.threads.split(",")]
    words = options.sizes or ("1x256,2x256" if options.quick else None)
    sizes = [size for word in words.split(",") for size in parse_size(word)] if words else [BOOK, CHAR_RNN, *AROUND]
    rows = []
    if not options.json:
        print(machine() + "\n\n" + HEADER)
    for size in sizes:
        as_printed = [("book", "float32")] * (size[0] == 1 and "scratch" in backends)
        for row in compare(size, contestants + as_printed, threads, options.rounds or (5 if options.quick else 9)):
            rows.append(row)
            if not options.json:
                print(LINE.format(low=row["quartiles"][0], high=row["quartiles"][1], **row), flush=True)
    if options.json:
        print(json.dumps(rows))


COLUMNS = {
    "backend": "{backend}",
    "precision": "{precision}",
    "layers": "{layers}",
    "hidden": "{hidden}",
    "batch_size": "{batch}",
    "num_steps": "{steps}",
    "threads": "{threads}",
    "chars/s": "{chars_per_s:,.0f}",
    "quartiles": "{low:,.0f} to {high:,.0f}",
    "ratio to nn": "{ratio_to_nn:.2f}",
    "GFLOP/s": "{gflops:.0f}",
    "of large products": "{gemm_share:.0%}",
    "of the bound": "{bound_share:.0%}",
}
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"
LINE = f"| {' | '.join(COLUMNS.values())} |"

if __name__ == "__main__":
    main()
