"""d2l's names of the weights of each cell, in the order of scratch/. No torch."""


def list_names(gates: str) -> list[str]:
    """W_x*, W_h*, b_* of each gate."""
    return [name + gate for gate in gates for name in ("W_x", "W_h", "b_")]


LSTM = list_names("ifoc")
RNN = list_names("h")
GRU_BEFORE = list_names("zrh")
GRU = [*GRU_BEFORE, "b_hn"]

# cell: its weights. The two forms of the GRU are two cells: `gru` resets after the matrix product, `gru_before` before
WEIGHT_NAMES = {"lstm": LSTM, "gru": GRU, "gru_before": GRU_BEFORE, "rnn": RNN}
