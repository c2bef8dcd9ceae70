"""A character-level LSTM language model, from scratch and on torch.nn, after Dive into Deep Learning."""

__version__ = "0.1.0"
