"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

import importlib
from types import ModuleType

from lstmlm.system.version import __version__ as __version__


def load(run_or_checkpoint, backend=None, device="cpu"):
    """A trained model, from a run directory or a .safetensors file: see door.py."""
    from lstmlm import api  # here, so that `import lstmlm` does not wait for torch

    return api.load(run_or_checkpoint, backend, device)


def __getattr__(name: str) -> ModuleType:
    """`lstmlm.d2l`, imported at its first use, because it needs torch."""
    if name == "d2l":
        return importlib.import_module("lstmlm.d2l")
    raise AttributeError(f"module 'lstmlm' has no attribute {name!r}")
