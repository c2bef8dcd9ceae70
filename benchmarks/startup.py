"""How long one waits before anything is computed: python benchmarks/startup.py [--json]

Whole processes, the median and range of 7 runs of each, interleaved.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
COMPLETE = {"COMP_LINE": "python train.py backend=", "COMP_POINT": "24"}
COMMANDS = {
    "python train.py --help": (["train.py", "--help"], {}),
    "tab completion": (
        ["train.py", "-sc", "query=bash"],
        {"COMP_LINE": "python train.py backend=", "COMP_POINT": "24"},
    ),
    "a misspelt setting": (["train.py", "train.lrr=1"], {}),
    "python -m lstmlm --help": (["-m", "lstmlm", "--help"], {}),
}


def seconds(words: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, env={**os.environ, **environment}, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    as_json = options.parse_args().json
    times = {name: [] for name in COMMANDS}
    for _ in range(7):
        for name, command in COMMANDS.items():
            times[name].append(seconds(*command))
    rows = [{"command": n, "seconds": median(t), "min": min(t), "max": max(t)} for n, t in times.items()]
    if as_json:
        print(json.dumps(rows))
        return
    print(machine() + "\n\n| command | seconds | range |\n|---|---|---|")
    for one in rows:
        print(f"| {one['command']} | {one['seconds']:.2f} | {one['min']:.2f} to {one['max']:.2f} |")


if __name__ == "__main__":
    main()
