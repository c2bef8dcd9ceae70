"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

__version__ = "0.1.0"


def load(run_or_checkpoint, backend=None, device="cpu"):
    """A trained model, from a run directory or a .safetensors file: see door.py."""
    from lstmlm import door  # here, so that `import lstmlm` does not wait for torch

    return door.load(run_or_checkpoint, backend, device)
