"""Evaluation: the score of a model on held-out text, baselines, dynamic evaluation, copied passages."""
