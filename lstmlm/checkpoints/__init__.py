"""What is in a checkpoint, how it is validated, and weights from other programs."""
