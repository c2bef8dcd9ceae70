"""A bar is closed without a word, also where an interrupt came while it was being made."""

import pytest

from lstmlm.system.bar import Bar


def test_a_notebooks_bar_that_was_interrupted_while_it_was_made_is_closed(monkeypatch):
    pytest.importorskip("ipywidgets", reason="bars in notebooks need the extra [notebook]")
    from tqdm.notebook import tqdm_notebook

    class NotebookBar(Bar, tqdm_notebook):
        """As Bar is in a notebook."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(tqdm_notebook, "status_printer", staticmethod(interrupt))
    bar = NotebookBar.__new__(NotebookBar)
    with pytest.raises(KeyboardInterrupt):
        tqdm_notebook.__init__(bar, total=5)
    tqdm_notebook.close(bar)
