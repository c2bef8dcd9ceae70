"""The names of the weights of each cell, in the order of the book's pages. No torch."""


def book_names(gates: str) -> list[str]:
    """W_x*, W_h*, b_* of each gate, in the order of the from-scratch pages."""
    return [name + gate for gate in gates for name in ("W_x", "W_h", "b_")]


LSTM = book_names("ifoc")
RNN = book_names("h")
GRU_BEFORE = book_names("zrh")
GRU = [*GRU_BEFORE, "b_hn"]

# cell: its weights. The two forms of the GRU are two cells: `gru` resets after the matrix product, `gru_before` before
WEIGHT_NAMES = {"lstm": LSTM, "gru": GRU, "gru_before": GRU_BEFORE, "rnn": RNN}
