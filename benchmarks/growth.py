"""How the time of a character grows with the work: python benchmarks/growth.py [OUT.png] [--quick] [--json]

Around the default size, H, T, B, L and the number of characters in the corpus are varied, one at a time, on one thread;
all sizes and both backends take turns in one process, and the median over the rounds counts. `fused` and `nn` are a
training step on the next batch, over its characters; `read` is a text file to ids, over its characters.

Beside it the arithmetic of `fused`: 24 H^2 operations for a character's recurrent products, forward and backward, as
many again for the inputs of each further layer (those of the first, one-hot, are rows to be picked), and 6 H V for the
head; and for each step, not each character, 12 for every weight in clipping and AdamW. A slope is that of a straight
line through log time over log size: 0 means that a character costs the same, 1 twice as much at twice the size.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy and torch

import numpy as np
import torch
from machine import machine

from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.overrides import compose_settings
from lstmlm.system.machine import keep_memory
from lstmlm.text.batches import SequentialStreams
from lstmlm.text.corpus import read_corpus
from lstmlm.training.plan import Recipe
from lstmlm.training.thread_tuning import make_timed_step

V = 63  # the vocabulary of the text that comes with the project
DEFAULT = {"H": 256, "T": 64, "B": 16, "L": 1, "corpus": 150_000}
SIZES = {"H": [64, 128, 256, 512, 1024], "T": [16, 32, 64, 128, 256], "B": [4, 8, 16, 32, 64], "L": [1, 2, 4, 8]}
SIZES |= {"corpus": [50_000, 150_000, 500_000, 1_500_000, 5_000_000, 15_000_000]}
BACKENDS = ("fused", "nn")
RECIPE = Recipe(1e-3, "constant", 0.0, 1.0, ema=None, micro_batches=1, precision="float32")


def arithmetic(H: int, T: int, B: int, L: int, corpus: int) -> float:
    """Operations for a character."""
    weights = 4 * H * (V + H + 1) + (L - 1) * 4 * H * (2 * H + 1) + (H + 1) * V
    return 24 * H * H * (2 * L - 1) + 6 * H * V + 12 * weights / (B * T)


def turns_of(backend: str, size: dict[str, int]):
    """Seconds for a character of one step after another, each on the next batch."""
    model = RNNModel(ModelConfig(V, size["H"], size["L"], dropout=0.2), backend)
    initialize(model, "default", torch.Generator().manual_seed(0))
    model.dropout_generator = torch.Generator()
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, V, size["corpus"]))
    streams, generator = SequentialStreams(ids, size["B"], size["T"]), torch.Generator().manual_seed(0)
    batches = itertools.chain.from_iterable(streams.epoch(generator) for _ in itertools.count())
    X, Y = (part.clone() for part in next(batches))
    step = make_timed_step(model, X, Y, "adamw", RECIPE)
    while True:
        start = time.perf_counter()
        for ours, following in zip((X, Y), next(batches), strict=True):
            ours.copy_(following)
        step(1)
        yield (time.perf_counter() - start) / X.numel()


def reading(folder: Path, size: int):
    """Seconds for a character of reading a text, again and again."""
    path = folder / f"{size}.txt"
    path.write_bytes(np.random.default_rng(0).integers(32, 32 + V, size, dtype=np.uint8).tobytes())
    settings = compose_settings(["data=file", f"data.path={path}"]).data
    while True:
        start = time.perf_counter()
        read_corpus(settings)
        yield (time.perf_counter() - start) / size


def vary(key: str, quick: bool, folder: Path) -> list[dict]:
    """A row for each backend and size; all take turns."""
    sizes = SIZES[key][::2] if quick else SIZES[key]
    turns = {(name, size): turns_of(name, DEFAULT | {key: size}) for size in sizes for name in BACKENDS}
    if key == "corpus":
        turns |= {("read", size): reading(folder, size) for size in sizes}
    for turn in turns.values():
        next(turn)
    taken = {name: [] for name in turns}
    for _ in range(3 if quick else 9):
        for name, turn in turns.items():
            taken[name].append(next(turn))
    return [
        {"varied": key, "size": size, "what": what, "seconds_per_char": median(taken[what, size])}
        for what, size in turns
    ]


def slope(sizes: list[int], values: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def of(rows: list[dict], key: str, what: str) -> tuple[list[int], list[float]]:
    """Sizes and microseconds for a character."""
    chosen = [row for row in rows if (row["varied"], row["what"]) == (key, what)]
    return [row["size"] for row in chosen], [1e6 * row["seconds_per_char"] for row in chosen]


def expected(rows: list[dict], key: str) -> tuple[list[int], list[float]]:
    """The arithmetic, as if its operations took what they take at the size in the middle."""
    sizes, taken = of(rows, key, "fused")
    middle = sizes.index(DEFAULT[key]) if DEFAULT[key] in sizes else len(sizes) // 2
    operations = [arithmetic(**DEFAULT | {key: size}) for size in sizes]
    return sizes, [taken[middle] * number / operations[middle] for number in operations]


def draw(rows: list[dict], out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(SIZES), figsize=(15, 3.6), layout="constrained", sharey=True)
    for key, axes in zip(SIZES, panels, strict=True):
        for what in sorted({row["what"] for row in rows if row["varied"] == key}):
            axes.plot(*of(rows, key, what), marker="o", ms=4, label=what)
        axes.plot(*expected(rows, key), "k--", lw=1, label="arithmetic of fused")
        axes.set(xscale="log", yscale="log", xlabel=key, title=f"growth with {key}")
        axes.set_xticks(SIZES[key], [f"{size:,}" for size in SIZES[key]], rotation=40)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    panels[0].set_ylabel("microseconds for a character")
    figure.savefig(out, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", nargs="?", type=Path, help="the picture, if one is wanted")
    options.add_argument("--quick", action="store_true", help="every second size, three rounds")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    keep_memory()  # as in a run
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for key in SIZES for row in vary(key, chosen.quick, Path(folder))]
    if chosen.out:
        draw(rows, chosen.out)
    if chosen.json:
        print(json.dumps(rows))
        return
    print(machine() + "\n\n| varied | what | microseconds for a character | slope | arithmetic |\n" + "|---" * 5 + "|")
    for key in SIZES:
        due = round(slope(*expected(rows, key)), 2) + 0.0  # no -0.00
        for what in dict.fromkeys(row["what"] for row in rows if row["varied"] == key):
            sizes, taken = of(rows, key, what)
            cells = ", ".join(f"{value:.3g} ({size:,})" for size, value in zip(sizes, taken, strict=True))
            print(
                f"| {key} | {what} | {cells} | {slope(sizes, taken):.2f} | {'' if what == 'read' else f'{due:.2f}'} |"
            )


if __name__ == "__main__":
    main()
