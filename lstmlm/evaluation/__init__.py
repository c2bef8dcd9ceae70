"""What text costs: a model, baselines without a network, dynamic evaluation, copied passages."""
