"""The recurrent layers of the book, written out equation by equation: LSTM, GRU, RNN. They import nothing of lstmlm."""
