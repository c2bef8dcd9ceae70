"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

from lstmlm.system.version import __version__ as __version__


def load(run_or_checkpoint, backend=None, device="cpu"):
    """A trained model, from a run directory or a .safetensors file: see door.py."""
    from lstmlm import api  # here, so that `import lstmlm` does not wait for torch

    return api.load(run_or_checkpoint, backend, device)
