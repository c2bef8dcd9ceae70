"""Memory of a training step against its sizes: python benchmarks/memory.py [--quick] [--json]     (Linux)

Around the default size, B, T, H and L are doubled, one at a time. Each backend at each size is a process of its own:

  peak     the most that three steps need above the weights, their gradients and the optimizer's moments: these are made
           by a tiny step first; then the system's mark of the highest resident size is put back (clear_refs, 5), and
           read (VmHWM). Blocks over 64 kB are mapped one by one, so that what is freed does not count.
  kept     what autograd keeps for backward, counted (saved_tensors_hooks, each storage once); it may be more than the
           peak, because what is reserved and never touched is not resident
  formula  what fused must keep, in numbers of 4 bytes: for each of B*T places and each layer 8 H (four gates, H and C,
           the output after dropout and the mask), and V + 4 of the loss and the ids; and 2 H for each row and layer of
           the first state

fused must not need more than nn.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

V = 63  # the vocabulary of the text that comes with the project
DEFAULT = {"B": 16, "T": 64, "H": 256, "L": 1}
BACKENDS = ("fused", "nn", "scratch")


def status(key: str) -> int:
    """Bytes of a row of /proc/self/status."""
    (line,) = (row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(key + ":"))
    return 1024 * int(line.split()[1])


def measure(backend: str, B: int, T: int, H: int, L: int) -> dict[str, int]:
    """Bytes: peak and kept. In a process that does nothing else."""
    import torch
    import torch.nn.functional as functional

    from lstmlm.model.model_config import ModelConfig
    from lstmlm.model.rnn_model import RNNModel
    from lstmlm.training.optim import build_optimizer, compute_clip_factor, compute_norm, scale_gradients

    torch.set_num_threads(1)
    model = RNNModel(ModelConfig(V, H, L, dropout=0.2), backend)
    model.dropout_generator = torch.Generator()
    optimizer = build_optimizer(model, "adamw", 1e-3, 0.0)

    def loss_of(B: int, T: int) -> torch.Tensor:
        ids = torch.zeros(B, T + 1, dtype=torch.int64)
        return functional.cross_entropy(model(ids[:, :-1])[0], ids[:, 1:].T.flatten())

    def step(B: int, T: int) -> None:
        loss = loss_of(B, T)
        for param in model.parameters():  # as they are: set to none, they would be free while the forward pass runs
            if param.grad is not None:
                param.grad.zero_()
        loss.backward()
        params = list(model.trained().values())
        scale_gradients(params, compute_clip_factor(compute_norm(params), 1.0))
        optimizer.step()

    step(1, 2)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    for _ in range(3):
        step(B, T)
    peak, storages = status("VmHWM") - before, {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(B, T)
    weights = {param.untyped_storage().data_ptr() for param in model.parameters()}
    kept = sum(tensor.untyped_storage().nbytes() for place, tensor in storages.items() if place not in weights)
    return {"peak": peak, "kept": kept}


def formula(B: int, T: int, H: int, L: int) -> int:
    return 4 * (B * T * (8 * H * L + V + 4) + 2 * B * H * L)


def sizes(quick: bool) -> list[dict[str, int]]:
    factors = (2,) if quick else (2, 4)
    return [DEFAULT, *(DEFAULT | {key: factor * DEFAULT[key]} for key in DEFAULT for factor in factors)]


def in_its_own_process(backend: str, size: dict[str, int]) -> dict:
    words = [sys.executable, __file__, "--measure", backend, *map(str, size.values())]
    environment = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(words, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return {"backend": backend, **size, **json.loads(done.stdout), "formula": formula(**size)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="each size doubled, not quadrupled; fused and nn alone")
    options.add_argument("--json", action="store_true", help="print one JSON list")
    options.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.measure:
        backend, *size = chosen.measure
        print(json.dumps(measure(backend, *map(int, size))))
        return
    backends = BACKENDS[:2] if chosen.quick else BACKENDS
    rows = [in_its_own_process(backend, size) for size in sizes(chosen.quick) for backend in backends]
    if chosen.json:
        print(json.dumps(rows))
        return
    from machine import machine

    head = "| B | T | H | L | backend | peak, MB | kept, MB | formula, MB | peak of nn's |"
    print(f"{machine()}\n\n{head}\n" + "|---" * 9 + "|")
    theirs = {json.dumps([row[key] for key in DEFAULT]): row["peak"] for row in rows if row["backend"] == "nn"}
    for row in rows:
        size = [row[key] for key in DEFAULT]
        megabytes = " | ".join(f"{row[key] / 1e6:.1f}" for key in ("peak", "kept", "formula"))
        ratio = row["peak"] / theirs[json.dumps(size)]
        print(f"| {' | '.join(map(str, size))} | {row['backend']} | {megabytes} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
