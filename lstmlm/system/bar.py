"""The progress bar: of text on stderr in a terminal, a widget in a notebook, elsewhere none."""

import warnings
from typing import Any

from lstmlm.system.notebook import in_notebook

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="IProgress not found")  # without ipywidgets, a notebook has one of text
    from tqdm.auto import tqdm


class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A bar of tqdm, by its arguments. It starts no thread that watches it and stays after it."""

    monitor_interval = 0

    def __init__(self, *, disable: bool | None = None, **options: Any) -> None:
        # disable=None: no bar where the stream is not a terminal, as a notebook's is not
        super().__init__(disable=False if disable is None and in_notebook() else disable, miniters=1, **options)

    def disp(self, *_: Any, **__: Any) -> None:
        """Nothing, where an interrupt came while a notebook's bar was being made: tqdm then closes a bar without one.

        A bar that is whole has a `disp` of its own.
        """
