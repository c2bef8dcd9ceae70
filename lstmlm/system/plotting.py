"""Plots with matplotlib, which the extra [plots] installs."""

from types import ModuleType

from lstmlm.system.errors import BadInput


def import_pyplot() -> ModuleType:
    """matplotlib.pyplot, set to draw to files. BadInput if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BadInput("--png: drawing needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
