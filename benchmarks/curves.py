"""A picture of a run's curves: python benchmarks/curves.py OUT.png RUN_DIR [RUN_DIR ...]

Left, perplexity of the training text on the way and of the validation text; right, how far the gates stand open.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import yaml

from lstmlm.training import metrics


def main(out: str, directories: list[str]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for k, directory in enumerate(map(Path, directories)):
        backend = yaml.safe_load((directory / "config.yaml").read_text())["backend"]
        rows = metrics.read_evaluations(directory / metrics.NAME)
        epochs = [row["progress/epoch"] for row in rows]
        # Backends lie on each other: the first is a line, the next are marks on it
        style = {"lw": 2} if k == 0 else {"ls": "none", "marker": "ox+"[k - 1], "ms": 7, "mfc": "none"}
        for split, color in (("train", "tab:gray"), ("val", "tab:blue")):
            left.plot(epochs, [row[f"ppl/{split}"] for row in rows], color=color, label=f"{split}, {backend}", **style)
        for gate, color in (("I", "tab:green"), ("F", "tab:red"), ("O", "tab:orange")):
            openings = [row[f"gates/layer0_{gate}"] for row in rows]
            right.plot(epochs, openings, color=color, label=f"{gate}, {backend}", **style)
    left.set(xlabel="epoch", ylabel="perplexity", title="The Tide Clock", yscale="log")
    left.yaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    left.yaxis.set_minor_formatter(matplotlib.ticker.ScalarFormatter())
    right.set(xlabel="epoch", ylabel="mean opening", title="input, forget and output gate", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(fontsize=8, ncol=2)
        axes.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2:])
