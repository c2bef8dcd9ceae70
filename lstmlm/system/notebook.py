"""Whether the program runs in a Jupyter notebook, where output can be a picture and can be updated in place."""

import sys


def in_notebook() -> bool:
    """True in a Jupyter kernel (JupyterLab, VS Code, Colab); False in Python, in a script and in IPython's terminal."""
    IPython = sys.modules.get("IPython")  # a kernel has imported it; nobody else needs it
    return IPython is not None and hasattr(IPython.get_ipython(), "kernel")
