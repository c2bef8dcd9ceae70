"""Plots with matplotlib, which the extra [plots] installs."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from lstmlm.system.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def import_pyplot() -> ModuleType:
    """matplotlib.pyplot, set to draw to files. BadInput if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BadInput("--png: drawing needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def open_figure(what: str, **options: Any) -> "Figure":
    """A figure of pyplot, in the backend that the user has: a notebook shows it. `options` as `pyplot.figure`.

    BadInput, naming `what` needs it, if matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise BadInput(f"{what}: drawing needs matplotlib: pip install matplotlib") from None
    return plt.figure(layout="constrained", **options)
