"""Characters a second of text: python benchmarks/sampling.py [--sizes 2x128,2x256] [--weights float32,int8] [--json]

A one-hot LSTM with a vocabulary of 66, weights drawn, one sample, one thread, all in one process and in turns:

  nn                  what one would write oneself: the same weights in `nn.LSTM` and `nn.Linear`, stepped one
                      character at a time in inference mode. It only steps: it is told what comes next.
  nn without oneDNN   the same on torch's other path, which is quicker for a single step
  fused               what `generate` does, for every backend: the steps and the draws in C (temperature 0.8)
  numpy               what it does where there is no C compiler

fused has a row for each format of its weights (`generate --weights`). Rates are medians over the rounds; a ratio is the
median of the ratios within a round. `ratio_to_best_nn` is to the faster of nn with and without oneDNN.
"""

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable
from statistics import median

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy and torch

import numpy as np
import torch
from machine import machine
from torch import nn

from lstmlm.generation.native_stepper import find_kernel
from lstmlm.generation.stepper import Stepper
from lstmlm.generation.writer import Writer
from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.torch_weights import to_torch
from lstmlm.settings.sampling import WEIGHTS, SamplingSettings

V, ROUNDS, SECONDS = 66, 40, 0.03  # short turns: what else the machine does then meets all alike
NN, WITHOUT = ("nn", "float32"), ("nn without oneDNN", "float32")
SIZES = "1x128,1x256,1x512,2x128,2x256,2x512"


def model_of(num_layers: int, num_hiddens: int) -> RNNModel:
    model = RNNModel(ModelConfig(V, num_hiddens, num_layers), "nn").eval()
    initialize(model, "default", torch.Generator().manual_seed(0))
    return model


def stepping_nn(model: RNNModel) -> Callable[[int], None]:
    rnn, linear = nn.LSTM(V, model.config.num_hiddens, model.config.num_layers), nn.Linear(model.config.num_hiddens, V)
    for module, state in zip((rnn, linear), to_torch(model.book_weights()), strict=True):
        module.load_state_dict(state)
    one_hot = torch.eye(V)

    @torch.inference_mode()
    def write(n: int) -> None:
        state = None
        for k in range(n):
            Y, state = rnn(one_hot[k % V][None, None], state)
            linear(Y[0])

    return write


def without_onednn(write: Callable[[int], None]) -> Callable[[int], None]:
    def write_without(n: int) -> None:
        with torch.backends.mkldnn.flags(enabled=False):
            write(n)

    return write_without


def ours(model: RNNModel, kind: str, in_c: bool = True) -> Callable[[int], None]:
    book = {name: tensor.numpy() for name, tensor in model.book_weights().items()}
    stepper = Stepper("lstm", book, model.config.num_layers, kind)
    if not in_c:
        stepper.native = None
    writer = Writer(stepper, SamplingSettings(), [0], unk=0)
    writer.read(np.array([1]))
    drawn = writer.write()
    return lambda n: [None for _ in itertools.islice(drawn, n)]


def seconds(write: Callable[[int], None], n: int) -> float:
    start = time.perf_counter()
    write(n)
    return time.perf_counter() - start


def compare(num_layers: int, num_hiddens: int, kinds: list[str]) -> list[dict]:
    """One row for each contestant: a backend and the format of its weights."""
    model = model_of(num_layers, num_hiddens)
    nn_steps = stepping_nn(model)
    contestants = {
        NN: nn_steps,
        WITHOUT: without_onednn(nn_steps),
        ("numpy", "float32"): ours(model, "float32", in_c=False),
        **{("fused", kind): ours(model, kind) for kind in kinds},
    }
    counts = {}
    for name, write in contestants.items():
        write(20)
        counts[name] = max(10, int(20 * SECONDS / seconds(write, 20)))
    rates = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, write in contestants.items():
            rates[name].append(counts[name] / seconds(write, counts[name]))
    best = max(NN, WITHOUT, key=lambda name: median(rates[name]))
    return [
        {
            "backend": backend,
            "weights": kind,
            "layers": num_layers,
            "hidden": num_hiddens,
            "chars_per_s": median(rates[backend, kind]),
            "ratio_to_nn": median_ratio(rates[backend, kind], rates[NN]),
            "ratio_to_best_nn": median_ratio(rates[backend, kind], rates[best]),
        }
        for backend, kind in contestants
    ]


def median_ratio(own: list[float], other: list[float]) -> float:
    return median(a / b for a, b in zip(own, other, strict=True))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default=SIZES, help=f"layers x hidden units (default: {SIZES})")
    options.add_argument("--weights", default="float32", help=f"a list of {', '.join(WEIGHTS)} (default: float32)")
    options.add_argument("--quick", action="store_true", help="1x256 and 2x256 alone")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    options = options.parse_args()
    kinds = options.weights.split(",")
    if unknown := [kind for kind in kinds if kind not in WEIGHTS]:
        raise SystemExit(f"--weights: {unknown[0]} is none of {', '.join(WEIGHTS)}")
    if find_kernel() is None:
        raise SystemExit("fused: needs a C compiler, and LSTMLM_NATIVE not 0")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "TF32")  # said by mkldnn.flags, of other hardware
    sizes = "1x256,2x256" if options.quick else options.sizes
    rows = [row for size in sizes.split(",") for row in compare(*map(int, size.split("x")), kinds)]
    if options.json:
        print(json.dumps(rows))
        return
    print(machine() + "\n\n| backend | weights | layers | hidden | chars/s | ratio to nn | to the best nn |")
    print("|---|---|---|---|---|---|---|")
    line = "| {backend} | {weights} | {layers} | {hidden} | {chars_per_s:,.0f} | {ratio_to_nn:.1f} | "
    for row in rows:
        print((line + "{ratio_to_best_nn:.1f} |").format(**row))


if __name__ == "__main__":
    main()
