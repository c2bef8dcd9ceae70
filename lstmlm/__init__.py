"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

from typing import TYPE_CHECKING

from lstmlm.system.version import __version__ as __version__

if TYPE_CHECKING:
    from pathlib import Path

    from lstmlm.api import LanguageModel


def load(run_or_checkpoint: "str | Path", backend: str | None = None, device: str = "cpu") -> "LanguageModel":
    """Load a trained model from a run directory or a .safetensors file: see `lstmlm.api.load`."""
    from lstmlm import api  # here, because `import lstmlm` must not import torch, which takes a second

    return api.load(run_or_checkpoint, backend, device)
