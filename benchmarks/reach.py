"""How far back gradients reach: python benchmarks/reach.py OUT.png LSTM_RUN RNN_RUN [--json]

For places spread over the validation text, the loss of one character is differentiated with respect to the state k
characters before: of the LSTM, C and H apart; of the RNN, H. Norms relative to k = 1, geometric mean over the places.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as functional

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.files import find_checkpoint
from lstmlm.evaluation.held_out import load_held_out

REACH, PLACES, WARM_UP = 100, 200, 100


def reach(run: str) -> dict[str, list[float]]:
    """For each part of the state, the mean relative norm of its gradient 1 .. REACH characters before."""
    loaded = checkpoint.load_checkpoint(find_checkpoint(run))
    model, _ = loaded.build("scratch")
    ids = load_held_out(loaded, "val", None).pieces[0].long()
    length = WARM_UP + REACH
    firsts = torch.linspace(0, len(ids) - length - 1, PLACES).long()
    windows = torch.stack([ids[first : first + length + 1] for first in firsts])  # (PLACES, length + 1)
    with torch.no_grad():
        _, state = model(windows[:, :WARM_UP])
    states = []
    for t in range(WARM_UP, length):
        state = tuple(part.requires_grad_() if part.is_leaf else part for part in state)
        for part in state:
            part.retain_grad()
        states.append(state)
        logits, state = model(windows[:, t : t + 1], state)
    functional.cross_entropy(logits, windows[:, length], reduction="sum").backward()
    names = ("H", "C")[: len(state)]
    curves = {}
    for name, parts in zip(names, zip(*states, strict=True), strict=True):
        norms = torch.stack([part.grad[-1].norm(dim=-1) for part in reversed(parts)]).clamp_min(
            1e-30
        )  # (REACH, PLACES)
        curves[name] = (norms / norms[0]).log().mean(1).exp().tolist()
    return curves


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("lstm")
    options.add_argument("rnn")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    curves = {f"LSTM, {name}": curve for name, curve in reach(chosen.lstm).items()}
    curves |= {f"RNN, {name}": curve for name, curve in reach(chosen.rnn).items()}
    figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
    for name, curve in sorted(curves.items()):
        axes.plot(range(1, REACH + 1), curve, label=name, lw=2)
    axes.set(xlabel="characters back", ylabel="gradient, relative to one back", yscale="log", ylim=(1e-4, 3))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(chosen.out, dpi=110)
    at = (1, 5, 10, 20, 50, 100)
    if chosen.json:
        print(json.dumps(curves))
        return
    print("| characters back | " + " | ".join(map(str, at)) + " |\n" + "|---" * (1 + len(at)) + "|")
    for name, curve in sorted(curves.items()):
        print(f"| {name} | " + " | ".join(f"{curve[k - 1]:.2g}" for k in at) + " |")


if __name__ == "__main__":
    main()
