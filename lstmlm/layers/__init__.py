"""One recurrent layer for each backend, all with one contract."""
