"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

import importlib
from typing import TYPE_CHECKING, Any

from lstmlm.system.errors import BadInput as BadInput
from lstmlm.system.version import __version__ as __version__

if TYPE_CHECKING:
    from lstmlm import d2l as d2l
    from lstmlm.api import LanguageModel as LanguageModel
    from lstmlm.api import Run as Run
    from lstmlm.api import load as load
    from lstmlm.api import train as train

OF_THE_API = ("LanguageModel", "Run", "load", "train")
__all__ = ["BadInput", "LanguageModel", "Run", "__version__", "d2l", "load", "train"]


def __getattr__(name: str) -> Any:
    """What needs torch is imported at its first use, so that `import lstmlm` does not wait for torch."""
    if name == "d2l":
        return importlib.import_module("lstmlm.d2l")
    if name in OF_THE_API:
        return getattr(importlib.import_module("lstmlm.api"), name)
    raise AttributeError(f"module 'lstmlm' has no attribute {name!r}")


def __dir__() -> list[str]:
    """For completion in a notebook: what is meant for users, imported or not yet."""
    return sorted(__all__)
