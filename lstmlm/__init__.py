"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lstmlm.system.version import __version__ as __version__

if TYPE_CHECKING:
    from lstmlm.api import LanguageModel


def load(run_or_checkpoint: str | Path, backend: str | None = None, device: str = "cpu") -> "LanguageModel":
    """A trained model, from a run directory or a .safetensors file: see lstmlm/api.py."""
    from lstmlm import api  # here, so that `import lstmlm` does not wait for torch

    return api.load(run_or_checkpoint, backend, device)


def __getattr__(name: str) -> ModuleType:
    """`lstmlm.d2l`, imported at its first use, because it needs torch."""
    if name == "d2l":
        return importlib.import_module("lstmlm.d2l")
    raise AttributeError(f"module 'lstmlm' has no attribute {name!r}")
