"""From files to batches: decoding, cleaning, splitting, vocabulary, ids."""
