"""What a GPU gives, in one command of at most 8 minutes: python benchmarks/gpu.py [--out gpu.json] [--text FILE]

In this order, and after each of its results the whole report is written anew, so that what was measured is kept:

  check   `lstmlm check --device cuda`: is every backend the same function there? (at most 80 seconds)
  steps   training steps, 2 x 512 and 2 x 1024, batch_size 64 and 128, num_steps 64 (at most 110 seconds): scratch and
          fused in float32, fused as a CUDA graph, nn in float32, with TF32, in bf16 and fp16. Medians of rounds in
          which the contestants take turns; a row that fails says why
  train   `experiment=shakespeare_gpu`, 4 minutes in all: 3 of training, and its final scores

--text FILE is Tiny Shakespeare for a machine that cannot download it. --device cpu --small tests the script.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from machine import machine

from lstmlm.model.initialization import initialize
from lstmlm.model.model_config import ModelConfig
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.durable import write_durably
from lstmlm.training.learner import Learner
from lstmlm.training.loss_scale import make_loss_scale
from lstmlm.training.metrics import NAME, find_final, list_evaluations, read_rows
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Recipe
from lstmlm.training.step import train_step

ROOT = Path(__file__).resolve().parent.parent
# Name: backend, train.precision, TF32, CUDA graph
CONTESTANTS = {
    "nn float32": ("nn", "float32", False, False),
    "nn tf32": ("nn", "float32", True, False),
    "nn bf16": ("nn", "bf16", False, False),
    "nn fp16": ("nn", "fp16", False, False),
    "fused": ("fused", "float32", False, False),
    "fused, CUDA graph": ("fused", "float32", False, True),
    "scratch": ("scratch", "float32", False, False),
}
V = 65
SIZES = [(2, H, B, 64) for H in (512, 1024) for B in (64, 128)]  # num_layers, num_hiddens, batch_size, num_steps
CHECK_SECONDS, STEPS_SECONDS, TRAIN_SECONDS = 80, 110, 240
SCORE_SECONDS = 60  # of the training part, for its start and its final scores
ROUNDS, TURN = 3, 0.3  # seconds, at least one step
SMALL = {"sizes": [(2, 8, 4, 4)], "turn": 0.0}
SMALL_WORDS = ["model.num_hiddens=8", "data.batch_size=4", "data.num_steps=8", "train.max_steps=4", "sample.length=10"]


class Report:
    """The results so far, on the disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.perf_counter()
        self.content: dict = {"machine": machine(), **describe_device()}

    def add(self, part: str, found: object) -> None:
        """The result of a part, or another of its rows, is known."""
        print(f"{part}: {json.dumps(found)}", flush=True)
        if part == "steps":
            self.content.setdefault("steps", []).append(found)
        else:
            self.content[part] = found
        self.content["seconds"] = time.perf_counter() - self.began
        write_durably(self.path, json.dumps(self.content, indent=1).encode())


def describe_device() -> dict:
    if not torch.cuda.is_available():
        return {"gpu": None}
    facts = torch.cuda.get_device_properties(0)
    found = {"gpu": facts.name, "capability": f"{facts.major}.{facts.minor}", "gpu_memory": facts.total_memory}
    return found | {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def call(words: list[str], limit: float) -> tuple[dict, str]:
    """How a command of the program ended, and its output."""
    start, out = time.perf_counter(), ""
    try:
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=limit)
        found, out = {"code": done.returncode}, done.stdout
        if done.returncode:
            found["error"] = done.stderr.strip()[-500:]
    except subprocess.TimeoutExpired:
        found = {"error": f"it took more than {limit:g} seconds"}
    return {"command": " ".join(words), "seconds": time.perf_counter() - start, **found}, out


# The parts


def check(report: Report, device: str) -> None:
    found, out = call(["-m", "lstmlm", "check", "--device", device, "--json"], CHECK_SECONDS)
    report.add("check", found | {"rows": json.loads(out) if out else []})


def measure_steps(report: Report, device: str, sizes: list[tuple[int, int, int, int]], turn: float) -> None:
    """Rows for each size, as long as there is time."""
    end = time.perf_counter() + STEPS_SECONDS
    for size in sizes:
        if time.perf_counter() < end:
            compare(report, device, size, turn, end)


def compare(report: Report, device: str, size: tuple[int, int, int, int], turn: float, end: float) -> None:
    """A row for each contestant at a size."""
    L, H, B, T = size
    facts, steps = {"layers": L, "hidden": H, "batch": B, "steps": T, "vocab": V}, {}
    for name, (backend, precision, tf32, has_graph) in CONTESTANTS.items():
        allow_tf32(tf32)
        try:
            step = make_step(device, backend, precision, size)
            step = capture(step) if has_graph else step
            for _ in range(3):
                measure(step, device, 1)
            steps[name] = step, max(1, int(turn / measure(step, device, 1)))
        except Exception as error:  # another row may still be had
            report.add("steps", {"contestant": name, **facts, "error": f"{type(error).__name__}: {error}"[:300]})
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for round in range(ROUNDS):
        for name, (step, count) in steps.items():
            allow_tf32(CONTESTANTS[name][2])
            if round == 0 or time.perf_counter() < end:
                taken[name].append(measure(step, device, count))
    allow_tf32(False)
    nn = taken.get("nn float32")
    for name, times in taken.items():
        speed = {"ms": 1000 * median(times), "lowest_ms": 1000 * min(times), "chars_per_s": B * T / median(times)}
        ratio = None if nn is None else median(a / b for a, b in zip(nn, times, strict=False))
        report.add("steps", {"contestant": name, **facts, **speed, "ratio_to_nn": ratio})


def allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def make_step(device: str, backend: str, precision: str, size: tuple[int, int, int, int]) -> Callable[[], object]:
    """A training step, on one batch again and again."""
    L, H, B, T = size
    model = RNNModel(ModelConfig(V, H, L), backend)
    initialize(model, "default", torch.Generator().manual_seed(0))
    model = model.to(device)
    optimizer = build_optimizer(model, "adamw", 1e-3, 0.01)
    for group in optimizer.param_groups:
        group["capturable"] = device == "cuda"  # so that it may be in a graph
    learner = Learner(model, optimizer, loss_scale=make_loss_scale(precision, torch.device(device)))
    recipe = Recipe(1e-3, "constant", 0.0, grad_clip=1.0, ema=None, micro_batches=1, precision=precision)
    text = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(0)).to(device)
    X, Y, state = text[:, :-1], text[:, 1:], model.begin_state(B, device)
    return lambda: train_step(learner, X, Y, state, recipe)


def capture(step: Callable[[], object]) -> Callable[[], None]:
    """The step as a CUDA graph: all its kernels are launched at once."""
    if not torch.cuda.is_available():
        raise RuntimeError("a CUDA graph needs CUDA")
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def measure(step: Callable[[], object], device: str, count: int) -> float:
    """Seconds of a step."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def train(report: Report, device: str, text: Path | None, more: list[str]) -> None:
    """The recipe for a GPU, with the time that it has here; the rate falls to 0 within it."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = ["train.py", "experiment=shakespeare_gpu", f"device={device}", f"hydra.run.dir={run}"]
        words += [f"train.max_seconds={TRAIN_SECONDS - SCORE_SECONDS}", "train.eval_every=5000", *more]
        words += [] if text is None else ["data=file", f"data.path={text.resolve()}"]
        found, _ = call(words, TRAIN_SECONDS)
        rows = read_rows(run / NAME)
    evaluations = [
        {key: row[key] for key in ("step", "loss/val", "speed/chars_per_s")} for row in list_evaluations(rows)
    ]
    report.add("train", found | {"evaluations": evaluations, "final": find_final(rows)})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("gpu.json"), help="the report (default: gpu.json)")
    options.add_argument("--text", type=Path, help="a file with Tiny Shakespeare (default: from the cache, or fetched)")
    options.add_argument("--parts", default="check,steps,train", help="a list of them (default: %(default)s)")
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--small", action="store_true", help="everything at a tiny size")
    options = options.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - {"check", "steps", "train"}:
        raise SystemExit(f"--parts: {min(unknown)} is none of check, steps, train")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device: no cuda device on this machine")
    report = Report(options.out)
    if "check" in parts:
        check(report, options.device)
    if "steps" in parts:
        measure_steps(
            report,
            options.device,
            SMALL["sizes"] if options.small else SIZES,
            SMALL["turn"] if options.small else TURN,
        )
    if "train" in parts:
        train(report, options.device, options.text, SMALL_WORDS if options.small else [])


if __name__ == "__main__":
    main()
