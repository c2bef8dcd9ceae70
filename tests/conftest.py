"""What the tests share: one thread, the texts beside the project, a command-line caller, a small trained run."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from lstmlm import cli
from lstmlm.backends import BACKENDS
from lstmlm.check import relative_difference as relative_difference  # for the tests, from here
from lstmlm.compose import compose_settings
from lstmlm.compose import train as train_door
from lstmlm.config import Config
from lstmlm.initialization import initialize
from lstmlm.model import RNNModel

ROOT = Path(__file__).resolve().parent.parent
SMALL_RUN = ["model.num_hiddens=24", "train.max_steps=40", "train.eval_every=20", "data.split=[0.9,0.005,0.005]"]

WHOLE_SPLIT = ["data.split=[0.9,0.05,0.05]", "train.eval_chars=500"]

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Every cell on every backend that has it: what is added to BACKENDS is tested
FORMS = [(cell, backend) for cell, backends in BACKENDS.items() for backend in backends]
PAIRS = [(cell, a, b) for cell, backends in BACKENDS.items() for a, b in itertools.permutations(backends, 2)]
every_form = pytest.mark.parametrize(("cell", "backend"), FORMS, ids=" ".join)


def shared_text(name: str) -> Path:
    """A text kept beside the project; the test skips where it is not there."""
    path = ROOT.parent / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"needs {name}, which is kept beside the project in shared/data")
    return path


@pytest.fixture(scope="session", autouse=True)
def a_cache_of_their_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSTMLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_core():
    """So that threads=auto is 1, in the processes that tests start too: no timing, and the same bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def same_draws_every_time():
    torch.manual_seed(0)


def make_model(backend: str, dtype=torch.float64, init: str = "default", seed: int = 0, **arguments) -> RNNModel:
    """A model whose weights, biases too, depend on the seed, not on the backend."""
    settings = {"vocab_size": 7, "num_hiddens": 5, "cell": "lstm"} | arguments
    model = RNNModel(**settings, backend=backend)
    generator = torch.Generator().manual_seed(seed)
    initialize(model, init, generator)
    if init == "default":  # biases that are not zero, so that one in the wrong place is found
        weights = model.book_weights()
        for name, tensor in weights.items():
            if tensor.dim() == 1:
                weights[name] = tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
        model.load_book_weights(weights)
    return model.to(dtype)


def shell(*words: str, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess:
    """Run python with these words as a user would, in a process of its own."""
    options = {"timeout": 240} | options
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, **options)


def composed_config(*overrides: str) -> Config:
    """The settings of `python train.py` with these overrides."""
    return compose_settings(list(overrides))


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """Call `python train.py` in this process, standing in an empty folder -> (exit code, stdout, stderr)."""

    def call(*overrides: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py"])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        capsys.readouterr()
        code = train_door(list(overrides))
        return code, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture
def command(capsys):
    """Call `python -m lstmlm` in this process -> (exit code, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(words))
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session", params=["scratch", "nn"])
def run_directory(request, tmp_path_factory) -> Path:
    """A small finished run of each backend on the embedded text, made by the real command line."""
    directory = tmp_path_factory.mktemp("run") / request.param
    done = shell("train.py", f"backend={request.param}", f"hydra.run.dir={directory}", *SMALL_RUN, *WHOLE_SPLIT)
    assert done.returncode == 0, done.stderr
    (directory / "screen.txt").write_text(done.stdout)
    return directory
