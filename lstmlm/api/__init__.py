"""The program in Python: `lstmlm.train` gives a Run, `lstmlm.load` a LanguageModel. docs/python.md shows their use."""

from lstmlm.api.language_model import LanguageModel, load
from lstmlm.api.run import Run
from lstmlm.api.training import train

__all__ = ["LanguageModel", "Run", "load", "train"]
