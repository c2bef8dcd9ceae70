"""`python -m lstmlm`."""

from lstmlm.cli import entry_point

entry_point()
