"""backend=cell: an LSTM cell with merged gates: one matrix for [X, H], whose product is split in four, step by step.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens.

    [f, i, o, g] = W [X_t, H_{t-1}] + b
    C_t = sigmoid(f) * C_{t-1} + sigmoid(i) * tanh(g)
    H_t = sigmoid(o) * tanh(C_t)
"""

import torch
from torch import Tensor, nn

from lstmlm.layers.contract import LayerState, RecurrentLayer, Tensors, to_dense
from lstmlm.layers.weight_names import LSTM
from lstmlm.scratch.lstm import init_lstm_state


class LSTMCell(nn.Module):
    """One step: X (B, D) and the state (H, C), each (B, H) -> the next (H, C)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, X: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        H, C = state
        f, i, o, g = self.linear(torch.cat([X, H], dim=1)).chunk(4, dim=1)
        C = torch.sigmoid(f) * C + torch.sigmoid(i) * torch.tanh(g)
        H = torch.sigmoid(o) * torch.tanh(C)
        return H, C


class CellLSTM(RecurrentLayer):
    """`LSTMCell` in a loop over the steps: one matrix (4H, D + H) for all gates, in the order f, i, o, g."""

    names, gates, init_state = LSTM, "fioc", staticmethod(init_lstm_state)

    def __init__(self, num_inputs: int, num_hiddens: int) -> None:
        super().__init__(num_inputs, num_hiddens)
        self.cell = LSTMCell(num_inputs, num_hiddens)

    def compute(self, X: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        outputs = []
        for X_t in to_dense(X, self.num_inputs, state[0].dtype):
            state = self.cell(X_t, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    @classmethod
    def from_book(cls, book: Tensors) -> Tensors:
        rows = [torch.cat([book["W_x" + gate], book["W_h" + gate]]).T for gate in cls.gates]
        return {
            "cell.linear.weight": torch.cat(rows),
            "cell.linear.bias": torch.cat([book["b_" + gate] for gate in cls.gates]),
        }

    @classmethod
    def to_book(cls, own: Tensors) -> Tensors:
        book: Tensors = {}
        H, weights, biases = len(own["cell.linear.bias"]) // 4, own["cell.linear.weight"], own["cell.linear.bias"]
        for gate, W, b in zip(cls.gates, weights.chunk(4), biases.chunk(4), strict=True):
            book |= {"W_x" + gate: W.T[:-H], "W_h" + gate: W.T[-H:], "b_" + gate: b}
        return {name: book[name] for name in cls.names}
