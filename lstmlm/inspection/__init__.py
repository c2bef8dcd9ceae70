"""Looking inside: the equality check of the backends, gates character by character."""
