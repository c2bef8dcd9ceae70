"""The RNN that came before, from scratch, in the names of d2l (section 9.5).

T = num_steps, B = batch_size, D = width of the inputs, H = num_hiddens, V = vocab_size.

    H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h)

All that it keeps of the past goes through the same matrix and the same tanh at every step: no cell, no gate.
"""

import torch
from torch import Tensor

State = tuple[Tensor]  # (H,), (B, H)


def get_rnn_params(
    vocab_size: int,
    num_hiddens: int,
    device: torch.device | str,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """W_xh (V, H), W_hh (H, H), b_h (H,), W_hq (H, V), b_q (V,): matrices from N(0, 0.01^2), biases zero."""

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * 0.01).to(device)

    # Hidden layer parameters
    W_xh = normal(vocab_size, num_hiddens)
    W_hh = normal(num_hiddens, num_hiddens)
    b_h = torch.zeros(num_hiddens, device=device)
    # Output layer parameters
    W_hq = normal(num_hiddens, vocab_size)
    b_q = torch.zeros(vocab_size, device=device)
    params = [W_xh, W_hh, b_h, W_hq, b_q]
    for param in params:
        param.requires_grad_(True)
    return params


def init_rnn_state(batch_size: int, num_hiddens: int, device: torch.device | str) -> State:
    """The state before the first character: H of zeros, (B, H), alone in a tuple."""
    return (torch.zeros(batch_size, num_hiddens, device=device),)


def rnn_layer(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """One layer through time: inputs (T, B, D), 3 params -> hidden states (T, B, H), (H,)."""
    W_xh, W_hh, b_h = params
    (H,) = state
    outputs = []
    for X in inputs:  # (B, D)
        H = torch.tanh(X @ W_xh + H @ W_hh + b_h)
        outputs.append(H)
    return torch.stack(outputs), (H,)


def rnn(inputs: Tensor, state: State, params: list[Tensor]) -> tuple[Tensor, State]:
    """The book's model: inputs (T, B, V) one-hot, 5 params -> logits (T*B, V) time-major, (H,)."""
    *layer_params, W_hq, b_q = params
    hiddens, state = rnn_layer(inputs, state, layer_params)
    return hiddens.flatten(0, 1) @ W_hq + b_q, state
