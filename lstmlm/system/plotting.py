"""Drawing, which needs matplotlib (the extra [plots])."""

from lstmlm.system.errors import BadInput


def import_pyplot():
    """matplotlib.pyplot, drawing to files only. BadInput where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BadInput("--png: drawing needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
