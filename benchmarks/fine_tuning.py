"""Fine-tuning against training from scratch: five small texts, one model, several rates.

    python benchmarks/fine_tuning.py FOLDER [--rates 0.001,0.003] [--base RUN_OR_CHECKPOINT]

FOLDER gets the texts and the runs. The model is trained on the first 80 % of Tiny Shakespeare, unless --base names
another; none of the five texts is part of that.
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

import lstmlm
from lstmlm.system.paths import find_cache, find_shipped

COMMON = {"backend": "fused", "threads": 1, "baselines": False, "portrait_share": 0, "length": 0}
SMALL_TEXT = COMMON | {"split": [0.9, 0.1, 0], "eval_every": 10, "batch_size": 16, "num_steps": 64}
FROM_SCRATCH, FINE_TUNED = 10, 10  # epochs


def read_sources() -> dict[str, str]:
    """Five texts of 20 to 60 KB, by name."""
    cache, data = find_cache(), find_shipped("data")
    plays = (cache / "tiny_shakespeare.txt").read_text()
    kernel = (Path(lstmlm.__file__).parent / "kernels" / "lstm_layer.c").read_text()
    pages = "\n".join(path.read_text() for path in sorted((data.parent / "docs").glob("*.md")))
    return {
        "Shakespeare, 40 KB": plays[-40_000:],
        "The Time Machine, 30 KB": (cache / "time_machine.txt").read_text()[60_000:90_000],
        "The Tide Clock, 60 KB": (data / "tide_clock.txt").read_text()[:60_000],
        f"C, {len(kernel) // 1000} KB": kernel,
        "Markdown, 50 KB": pages[:50_000],
    }


def train(directory: Path, **settings: object) -> tuple[lstmlm.Run, float]:
    """A run in silence, and its CPU-seconds."""
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run = lstmlm.train(directory=directory, **settings)
    return run, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rates", default="0.006,0.01")
    parser.add_argument("--base")
    parser.add_argument("--hiddens", type=int, default=128)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    texts = read_sources()
    if args.base is None:
        larger = args.folder / "larger.txt"
        larger.write_text((find_cache() / "tiny_shakespeare.txt").read_text()[:890_000])
        base = {"num_hiddens": args.hiddens, "max_epochs": 3, "eval_chars": 20_000, "split": [0.95, 0.05, 0]}
        run, seconds = train(args.folder / "base", data=larger, **COMMON, **base)
        print(f"base: {run.final['loss/val_best']:.4f} nats, {seconds:.0f} CPU-s", flush=True)
        args.base = run.directory
    for number, (name, text) in enumerate(texts.items()):
        path = args.folder / f"text{number}.txt"
        path.write_text(text)
        hiddens = lstmlm.load(args.base).model.config.num_hiddens
        scratch = {"num_hiddens": hiddens, "max_epochs": FROM_SCRATCH}
        run, seconds = train(args.folder / f"scratch{number}", data=path, **SMALL_TEXT, **scratch)
        steps, lowest = run.metrics[-1]["step"], min(row["loss/val"] for row in run.metrics)
        print(f"{name}: from scratch {lowest:.4f} in {steps} steps, {seconds:.0f} CPU-s", flush=True)
        for rate in args.rates.split(","):
            place = args.folder / f"tuned{number}_{rate}"
            tuned = {"init_from": args.base, "lr": float(rate), "max_epochs": FINE_TUNED}
            rows = train(place, data=path, **SMALL_TEXT, **tuned)[0].metrics
            reached = next((row["step"] for row in rows if row["loss/val"] <= lowest), None)
            share = "never" if reached is None else f"{reached / steps:.2f} of the steps"
            best = min(rows, key=lambda row: row["loss/val"])
            end = f"{best['loss/val']:.4f} ({best['loss/val'] - lowest:+.4f}), epoch {best['progress/epoch']:.1f}"
            print(f"  rate {rate}: {end}; as good as from scratch after {share}", flush=True)


if __name__ == "__main__":
    main()
