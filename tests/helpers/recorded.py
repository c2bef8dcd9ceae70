"""What a change of the code must not change: losses, weights, texts and scores, recorded before and compared after.

    python -m tests.helpers.recorded > tests/fixtures/recorded.json     # record anew

Everything goes through the command line, so that the code behind it may move. A change that alters bits on purpose
records them anew and says so in CHANGELOG.md.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from lstmlm import cli

FORMS = {  # name: what makes it
    "lstm scratch": ["backend=scratch"],
    "lstm nn": ["backend=nn"],
    "lstm cell": ["backend=cell"],
    "lstm fused": ["backend=fused"],
    "gru scratch": ["backend=scratch", "model.cell=gru"],
    "gru nn": ["backend=nn", "model.cell=gru"],
    "gru_before scratch": ["backend=scratch", "model.cell=gru", "model.gru_reset=before"],
    "rnn scratch": ["backend=scratch", "model.cell=rnn"],
    "rnn nn": ["backend=nn", "model.cell=rnn"],
}
SETTINGS = ["threads=1", "seed=3", "model.num_hiddens=20", "model.num_layers=2", "model.locked_between=0.1"]
SETTINGS += ["model.weight_drop=0.1", "train.ema=0.9", "data.split=[0.9,0.002,0.002]", "data.max_tokens=8000"]
SETTINGS += ["data.num_steps=20", "sample.length=50", "sample.prompt=s. It lay combed all", "sample.temperature=0.8"]
STEPS = 20
RUN = [f"train.max_steps={STEPS}", "train.eval_every=1", "train.log_every=1", "train.eval_chars=50"]
TEXT = "The tide came in, and the lamp was lit. Nobody had wound the clock.\n"


def call(*words: str) -> str:
    """What `lstmlm WORDS` prints; AssertionError if it fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(Stream(out)), contextlib.redirect_stderr(Stream(err)):
        code = cli.main(list(words))
    assert code == 0, (words, err.getvalue())
    return out.getvalue()


class Stream(io.TextIOBase):
    """A stream that also has what the command line asks of a real one."""

    def __init__(self, inner: io.StringIO) -> None:
        self.inner = inner

    def write(self, text: str) -> int:
        return self.inner.write(text)

    def isatty(self) -> bool:
        return False

    def reconfigure(self, **options: str) -> None:
        pass


def sha256_of_tensors(path: Path) -> str:
    """Of the tensors of a checkpoint, by name; the record holds times and so differs from run to run."""
    whole = hashlib.sha256()
    for name, tensor in sorted(safetensors.numpy.load(path.read_bytes()).items()):
        whole.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + np.ascontiguousarray(tensor).tobytes())
    return whole.hexdigest()


def evaluations(directory: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "final" not in row]


def record_form(overrides: list[str], folder: Path) -> dict[str, Any]:
    """One run of 20 steps, what is made from it, and a run that stops after 8 steps and is resumed."""
    (folder / "text.txt").write_text(TEXT)
    run, stopped = folder / "run", folder / "stopped"
    call("train", *overrides, *SETTINGS, *RUN, f"hydra.run.dir={run}")
    call("train", *overrides, *SETTINGS, "train.max_steps=8", f"hydra.run.dir={stopped}")
    call("train", f"resume={stopped}", f"train.max_steps={STEPS}")
    rows = evaluations(run)
    score = json.loads(call("score", str(run), str(folder / "text.txt"), "--json"))
    return {
        "loss/train": [row["loss/train"] for row in rows],
        "loss/val": [row["loss/val"] for row in rows],
        "samples": [rows[0]["sample"], rows[-1]["sample"]],
        "last": sha256_of_tensors(run / "last.safetensors"),
        "best": sha256_of_tensors(run / "best.safetensors"),
        "resumed": sha256_of_tensors(stopped / "last.safetensors"),
        "text": call(
            "generate",
            str(run),
            "--prompt",
            "The ",
            "--length",
            "200",
            "--seed",
            "5",
            "--top-p",
            "0.95",
            "--temperature",
            "0.8",
        ),
        "evaluate": json.loads(
            call(
                "evaluate", str(run), "--split", "test", "--windows", "50", "--adaptive", "--adapt-lr", "5e-4", "--json"
            )
        ),
        "score": score,
    }


def machine() -> dict[str, str]:
    """What the last bits depend on. The processor is named by the instructions that torch and the compiler use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    kept = sorted({line for line in lines if line.startswith(("model name", "flags", "model\t", "cpu family"))})
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "processor": hashlib.sha256("\n".join([platform.machine(), *kept]).encode()).hexdigest()[:16],
    }


def record() -> dict[str, Any]:
    """All forms, each in a folder of its own that is removed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    forms = {}
    for name, overrides in FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            forms[name] = record_form(overrides, Path(folder))
        print(name, file=sys.stderr)
    return {"machine": machine(), "forms": forms}


if __name__ == "__main__":
    print(json.dumps(record(), indent=1))
