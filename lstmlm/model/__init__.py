"""RNNModel and what it is made of."""
