"""The LSTM with its gates merged: one matrix on [X, H], its product split in four.

B = batch_size, D = input_size, H = hidden_size.

    [f, i, o, g] = W [X_t, H_{t-1}] + b
    C_t = sigmoid(f) * C_{t-1} + sigmoid(i) * tanh(g)
    H_t = sigmoid(o) * tanh(C_t)
"""

import torch
from torch import Tensor, nn


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
