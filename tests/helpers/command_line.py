"""The command line as tests use it: in a process of its own, or composed settings; and small runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lstmlm.settings.config import Config
from lstmlm.settings.overrides import compose_settings

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL_RUN = ["model.num_hiddens=24", "train.max_steps=40", "train.eval_every=20", "data.split=[0.9,0.005,0.005]"]
TINY = ["backend=nn", "model.num_hiddens=8", "data.batch_size=4", "data.num_steps=8", "sample.length=10"]
TINY += ["train.max_steps=4", "train.eval_every=2", "data.split=[0.98,0.01,0.01]", "train.baselines=false"]


def shared_text(name: str) -> Path:
    """A text kept beside the project; the test skips where it is not there."""
    path = ROOT.parent / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"needs {name}, which is kept beside the project in shared/data")
    return path


def shell(*words: str, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run python with these words as a user would, in a process of its own."""
    options = {"timeout": 240} | options
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])} | options.pop(
        "env", {}
    )
    return subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, **options)


def composed_config(*overrides: str) -> Config:
    """The settings of `python train.py` with these overrides."""
    return compose_settings(list(overrides))
