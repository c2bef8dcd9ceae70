"""The LSTM from scratch, in the names of "Dive into Deep Learning" (d2l, section 10.1).

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens, V = vocab_size.

    I_t  = sigmoid(X_t W_xi + H_{t-1} W_hi + b_i)     how much of the candidate comes in
    F_t  = sigmoid(X_t W_xf + H_{t-1} W_hf + b_f)     how much of the old cell stays
    O_t  = sigmoid(X_t W_xo + H_{t-1} W_ho + b_o)     how much of the cell is shown
    C~_t = tanh   (X_t W_xc + H_{t-1} W_hc + b_c)     the candidate
    C_t  = F_t * C_{t-1} + I_t * C~_t                 the cell, the long memory
    H_t  = O_t * tanh(C_t)                            the hidden state, the short one
"""

import torch
from torch import Tensor

State = tuple[Tensor, Tensor]  # (H, C), each (B, H)


def get_lstm_params(
    vocab_size: int,
    num_hiddens: int,
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """The 14 tensors of the book: W_x* (V, H), W_h* (H, H) from N(0, 0.01^2), b_* (H,) zero; W_hq (H, V), b_q (V,).

    Drawn on the CPU and then moved, so that a seed gives the same weights on every device.
    """

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * 0.01).to(device)

    def three() -> tuple[Tensor, Tensor, Tensor]:
        return (
            normal(vocab_size, num_hiddens),
            normal(num_hiddens, num_hiddens),
            torch.zeros(num_hiddens, device=device),
        )

    W_xi, W_hi, b_i = three()  # Input gate parameters
    W_xf, W_hf, b_f = three()  # Forget gate parameters
    W_xo, W_ho, b_o = three()  # Output gate parameters
    W_xc, W_hc, b_c = three()  # Candidate memory cell parameters
    W_hq = normal(num_hiddens, vocab_size)  # Output layer parameters
    b_q = torch.zeros(vocab_size, device=device)
    params = [W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o, W_xc, W_hc, b_c, W_hq, b_q]
    for param in params:
        param.requires_grad_(True)
    return params


def init_lstm_state(batch_size: int, num_hiddens: int, device: torch.device | str) -> State:
    """The state before the first character: H and C of zeros, each (B, H)."""
    return (
        torch.zeros(batch_size, num_hiddens, device=device),
        torch.zeros(batch_size, num_hiddens, device=device),
    )


def lstm_layer(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """One layer through time: inputs (T, B, D), 12 params -> hidden states (T, B, H), (H, C)."""
    W_xi, W_hi, b_i, W_xf, W_hf, b_f, W_xo, W_ho, b_o, W_xc, W_hc, b_c = params
    H, C = state
    outputs = []
    for X in inputs:  # (B, D)
        I = torch.sigmoid(X @ W_xi + H @ W_hi + b_i)
        F = torch.sigmoid(X @ W_xf + H @ W_hf + b_f)
        O = torch.sigmoid(X @ W_xo + H @ W_ho + b_o)
        C_tilda = torch.tanh(X @ W_xc + H @ W_hc + b_c)
        C = F * C + I * C_tilda
        H = O * torch.tanh(C)
        outputs.append(H)
    return torch.stack(outputs), (H, C)


def lstm(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """The book's model: inputs (T, B, V) one-hot, 14 params -> logits (T*B, V) time-major, (H, C)."""
    *layer_params, W_hq, b_q = params
    hiddens, state = lstm_layer(inputs, state, layer_params)
    return hiddens.flatten(0, 1) @ W_hq + b_q, state
