"""Inspection: the equality check of the backends, and the gates of an LSTM character by character."""
