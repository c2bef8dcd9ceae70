"""The gated recurrent unit from scratch, in the names of d2l (section 10.2), and as PyTorch has it.

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens, V = vocab_size.

    Z_t  = sigmoid(X_t W_xz + H_{t-1} W_hz + b_z)             how much of the old state stays
    R_t  = sigmoid(X_t W_xr + H_{t-1} W_hr + b_r)             how much of it the candidate sees
    H~_t = tanh(X_t W_xh + (R_t * H_{t-1}) W_hh + b_h)        the book: reset before the product
    H~_t = tanh(X_t W_xh + R_t * (H_{t-1} W_hh + b_hn) + b_h) PyTorch: reset after it
    H_t  = Z_t * H_{t-1} + (1 - Z_t) * H~_t

The two candidates are different functions, and no choice of weights makes one the other. The second needs a bias more,
b_hn, which stands inside the product with the reset gate and so does not merge with b_h. `gru_layer` and `gru` are the
book's; a run uses `gru_layer_reset_after`, so that its backends are equal, unless it asks for model.gru_reset=before.
"""

import torch
from torch import Tensor

State = tuple[Tensor]  # (H,), (B, H)


def get_gru_params(
    vocab_size: int,
    num_hiddens: int,
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """The 11 tensors of the book: W_x* (V, H), W_h* (H, H) from N(0, 0.01^2), b_* (H,) zero; W_hq (H, V), b_q (V,)."""

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * 0.01).to(device)

    def three() -> tuple[Tensor, Tensor, Tensor]:
        return (
            normal(vocab_size, num_hiddens),
            normal(num_hiddens, num_hiddens),
            torch.zeros(num_hiddens, device=device),
        )

    W_xz, W_hz, b_z = three()  # Update gate parameters
    W_xr, W_hr, b_r = three()  # Reset gate parameters
    W_xh, W_hh, b_h = three()  # Candidate hidden state parameters
    W_hq = normal(num_hiddens, vocab_size)  # Output layer parameters
    b_q = torch.zeros(vocab_size, device=device)
    params = [W_xz, W_hz, b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h, W_hq, b_q]
    for param in params:
        param.requires_grad_(True)
    return params


def init_gru_state(batch_size: int, num_hiddens: int, device: torch.device | str) -> State:
    """The state before the first character: H of zeros, (B, H), alone in a tuple."""
    return (torch.zeros(batch_size, num_hiddens, device=device),)


def gru_layer(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """The book's layer through time: inputs (T, B, D), 9 params -> hidden states (T, B, H), (H,)."""
    W_xz, W_hz, b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h = params
    (H,) = state
    outputs = []
    for X in inputs:  # (B, D)
        Z = torch.sigmoid(X @ W_xz + H @ W_hz + b_z)
        R = torch.sigmoid(X @ W_xr + H @ W_hr + b_r)
        H_tilda = torch.tanh(X @ W_xh + (R * H) @ W_hh + b_h)
        H = Z * H + (1 - Z) * H_tilda
        outputs.append(H)
    return torch.stack(outputs), (H,)


def gru_layer_reset_after(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """PyTorch's layer through time: inputs (T, B, D), 10 params -> hidden states (T, B, H), (H,)."""
    W_xz, W_hz, b_z, W_xr, W_hr, b_r, W_xh, W_hh, b_h, b_hn = params
    (H,) = state
    outputs = []
    for X in inputs:  # (B, D)
        Z = torch.sigmoid(X @ W_xz + H @ W_hz + b_z)
        R = torch.sigmoid(X @ W_xr + H @ W_hr + b_r)
        H_tilda = torch.tanh(X @ W_xh + R * (H @ W_hh + b_hn) + b_h)
        H = Z * H + (1 - Z) * H_tilda
        outputs.append(H)
    return torch.stack(outputs), (H,)


def gru(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """The book's model: inputs (T, B, V) one-hot, 11 params -> logits (T*B, V) time-major, (H,)."""
    *layer_params, W_hq, b_q = params
    hiddens, state = gru_layer(inputs, state, layer_params)
    return hiddens.flatten(0, 1) @ W_hq + b_q, state
