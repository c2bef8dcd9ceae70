"""A text larger than memory should be: python benchmarks/large.py [--gigabytes 2] [--json]

Makes such a text, has it numbered and used by processes of their own, and reports peak memory and the time against that
of `wc -m` on the same file, alternately, each three times with a fresh cache. The first batch must be the one that the
text itself gives at the places where its lanes begin.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from machine import machine

USE = """
import sys, torch
from lstmlm.settings.config import Data
from lstmlm.text.corpus import read_corpus
from lstmlm.text.batches import SequentialStreams
how = ("char", "utf-8", "none", 1, "raw", [0.9, 0.05, 0.05], None, "sequential", 16, 64)
data = Data("file", sys.argv[1], None, None, *how)
corpus = read_corpus(data)
streams = SequentialStreams(corpus.ids["train"], 16, 64)
X, Y = next(streams.epoch(torch.Generator().manual_seed(0)))
offset = streams.draw_offset(torch.Generator().manual_seed(0))
lane = (len(corpus.ids["train"]) - 1 - offset) // 16
with open(sys.argv[1], encoding="ascii") as file:
    for k in range(16):
        file.seek(offset + k * lane)
        assert corpus.vocab.decode(X[k]) == file.read(64), "the first batch is not the text's"
"""


def write_text(path: Path, size: int) -> None:
    """Seeded lines of made-up words."""
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(1, 9))) for _ in range(5000)]
    with open(path, "w", encoding="ascii") as file:
        while file.tell() < size:
            lines = (" ".join(chance.choices(words, k=12)) for _ in range(500))
            block = "\n".join(lines) + ".\n"
            file.write(block * 20)


def timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaint = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"error: {command[0]}: {complaint.decode()}")
    return time.perf_counter() - start, usage.ru_maxrss / 1000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gigabytes", type=float, default=2)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    rows = {"wc -m": [], "numbered the first time": [], "used again": []}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        write_text(text, int(chosen.gigabytes * 1e9))
        for k in range(3):
            rows["wc -m"].append(timed(["wc", "-m", str(text)], LC_ALL="C.UTF-8"))
            cache = {"LSTMLM_CACHE": f"{folder}/cache{k}"}
            rows["numbered the first time"].append(timed([sys.executable, "-c", USE, str(text)], **cache))
            rows["used again"].append(timed([sys.executable, "-c", USE, str(text)], **cache))
    result = [
        {
            "what": what,
            "gigabytes": chosen.gigabytes,
            "seconds": median(seconds for seconds, _ in runs),
            "spread": [min(runs)[0], max(runs)[0]],
            "ratio_to_wc": median(ours[0] / wc[0] for ours, wc in zip(runs, rows["wc -m"], strict=True)),
            "peak_mb": max(peak for _, peak in runs),
        }
        for what, runs in rows.items()
    ]
    if chosen.json:
        print(json.dumps(result))
        return
    print(machine() + "\n\n| | seconds | range | of wc -m | peak memory |\n|---|---|---|---|---|")
    for row in result:
        spread = " to ".join(f"{seconds:.1f}" for seconds in row["spread"])
        figures = f"{row['seconds']:.1f} | {spread} | {row['ratio_to_wc']:.2f} | {row['peak_mb']:,.0f} MB"
        print(f"| {row['what']} | {figures} |")


if __name__ == "__main__":
    assert resource  # POSIX: peak memory is the kernel's figure
    main()
