"""Characters a second of text: python benchmarks/sampling.py [--sizes 2x128,2x256] [--quick] [--json]

A one-hot LSTM with a vocabulary of 66, weights drawn, one sample, one thread, all in one process and in turns:

  nn                  what one would write oneself: the same weights in `nn.LSTM` and `nn.Linear`, stepped one
                      character at a time in inference mode. It only steps: it is told what comes next.
  nn without oneDNN   the same on torch's other path, which is quicker for a single step
  fused               what `generate` does, for every backend: the steps and the draws in C (temperature 0.8)
  numpy               what it does where there is no C compiler

Rates are medians over the rounds; a ratio is the median of the ratios within a round.
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

from lstmlm.generation.from_model import ModelStepper
from lstmlm.generation.writer import Writer
from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.torch_weights import to_torch
from lstmlm.settings.sampling import SamplingSettings

V, ROUNDS, SECONDS = 66, 40, 0.03  # short turns: what else the machine does then meets all alike
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


def ours(model: RNNModel, in_c: bool) -> Callable[[int], None]:
    writer = Writer(ModelStepper(model), SamplingSettings(), [0], unk=0)
    if not in_c:
        writer.stepper.native = None
    elif writer.stepper.native is None:
        raise SystemExit("fused: needs a C compiler, and LSTMLM_NATIVE not 0")
    writer.read(np.array([1]))
    drawn = writer.write()
    return lambda n: [None for _ in itertools.islice(drawn, n)]


def seconds(write: Callable[[int], None], n: int) -> float:
    start = time.perf_counter()
    write(n)
    return time.perf_counter() - start


def compare(num_layers: int, num_hiddens: int) -> list[dict]:
    """One row for each contestant."""
    model = model_of(num_layers, num_hiddens)
    nn_steps = stepping_nn(model)
    contestants = {
        "nn": nn_steps,
        "nn without oneDNN": without_onednn(nn_steps),
        "numpy": ours(model, in_c=False),
        "fused": ours(model, in_c=True),
    }
    counts = {}
    for name, write in contestants.items():
        write(20)
        counts[name] = max(10, int(20 * SECONDS / seconds(write, 20)))
    rates = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, write in contestants.items():
            rates[name].append(counts[name] / seconds(write, counts[name]))
    return [
        {
            "backend": name,
            "layers": num_layers,
            "hidden": num_hiddens,
            "chars_per_s": median(rates[name]),
            "ratio_to_nn": median(own / nn for own, nn in zip(rates[name], rates["nn"], strict=True)),
        }
        for name in contestants
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default=SIZES, help=f"layers x hidden units (default: {SIZES})")
    options.add_argument("--quick", action="store_true", help="1x256 and 2x256 alone")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    options = options.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "TF32")  # said by mkldnn.flags, of other hardware
    sizes = "1x256,2x256" if options.quick else options.sizes
    rows = [row for size in sizes.split(",") for row in compare(*map(int, size.split("x")))]
    if options.json:
        print(json.dumps(rows))
        return
    print(machine() + "\n\n| backend | layers | hidden | chars/s | ratio to nn |\n|---|---|---|---|---|")
    for row in rows:
        print("| {backend} | {layers} | {hidden} | {chars_per_s:,.0f} | {ratio_to_nn:.1f} |".format(**row))


if __name__ == "__main__":
    main()
