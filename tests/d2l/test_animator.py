"""The figure that grows: one figure in a notebook, updated in place; in a terminal the notes alone."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest

from lstmlm import d2l
from lstmlm.d2l import animator
from lstmlm.system.notebook import in_notebook


class Output:
    """What IPython's display returns, and what it was given."""

    shown: list["Output"]

    def __init__(self, content, display_id):
        assert display_id
        self.contents = [content]
        self.shown.append(self)

    def update(self, content):
        self.contents.append(content)


@pytest.fixture
def notebook(monkeypatch):
    """The outputs of a cell, as if in a notebook."""
    pytest.importorskip("IPython")
    Output.shown = []
    parts = {"Image": lambda data, format, retina: data, "Pretty": lambda text: text, "display": Output}
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(**parts))
    monkeypatch.setattr(animator, "in_notebook", lambda: True)
    return Output.shown


def test_a_notebook_is_an_ipython_with_a_kernel(monkeypatch):
    for IPython, expected in (
        (SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None)), True),
        (SimpleNamespace(get_ipython=lambda: SimpleNamespace()), False),  # IPython in a terminal
        (SimpleNamespace(get_ipython=lambda: None), False),  # a script that imports IPython
    ):
        monkeypatch.setitem(sys.modules, "IPython", IPython)
        assert in_notebook() == expected
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_a_notebook_has_one_figure_and_one_note_updated_in_place(notebook, capsys):
    pytest.importorskip("matplotlib")
    curve = d2l.Animator(xlabel="epoch", ylabel="perplexity", legend=["train", "held-out"], xlim=(10, 30), yscale="log")
    for epoch in (10, 20, 30):
        curve.add(epoch, [100 / epoch, 200 / epoch], f"epoch {epoch}")
    figure, note = notebook
    assert note.contents == ["epoch 10", "epoch 20", "epoch 30"]
    assert len({*figure.contents}) == 3 and all(png.startswith(b"\x89PNG") for png in figure.contents)
    assert curve.X == [[10, 20, 30]] * 2 and curve.Y == [[10, 5, 100 / 30], [20, 10, 200 / 30]]
    assert capsys.readouterr().out == ""


def test_outside_of_a_notebook_the_points_are_kept_and_the_notes_printed(capsys):
    curve = d2l.Animator()
    curve.add(1, 2.5, "time traveller")
    curve.add(2, 1.5)
    assert (curve.X, curve.Y, curve.outputs) == ([[1, 2]], [[2.5, 1.5]], [])
    assert capsys.readouterr().out == "time traveller\n"


def test_a_notebook_without_matplotlib_has_the_notes_and_says_why(notebook, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    d2l.Animator().add(1, 2.5, "time traveller")
    assert capsys.readouterr().out == (
        "no figure, because matplotlib is not installed: pip install matplotlib\ntime traveller\n"
    )
    assert not notebook


def test_a_figure_does_not_choose_the_backend_of_pyplot(notebook):
    pytest.importorskip("matplotlib")
    code_of_draw = animator.Animator.draw.__code__
    assert "pyplot" not in (*code_of_draw.co_names, *code_of_draw.co_varnames)
