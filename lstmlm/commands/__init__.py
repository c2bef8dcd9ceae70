"""The sub-commands of `python -m lstmlm`: each file has `add`, its options, and `run`, what it does."""
