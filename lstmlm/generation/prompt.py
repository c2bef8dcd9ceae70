"""The two uses that generation has for the model itself: its weights for a Stepper, its own forward for a prompt.

N = samples drawn together, n = characters of the prompt, V = vocab_size.
"""

import numpy as np
import torch

from lstmlm.generation.native_stepper import State
from lstmlm.generation.stepper import Stepper
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel
from lstmlm.system.arrays import Floats, Ids

CHUNK = 1000  # characters of a prompt read at once: bounds the memory


def make_stepper(model: RNNModel) -> Stepper:
    """A Stepper on copies of the model's weights: it does not see later training.

    Weights on another device are copied to the CPU, which is faster for a few samples.
    """
    weights = {name: tensor.cpu().numpy() for name, tensor in model.book_weights().items()}
    return Stepper(model.config.cell, weights, model.config.num_layers)


@torch.inference_mode()
def read_prompt(model: RNNModel, ids: Ids, state: State | None) -> tuple[Floats, State]:
    """Read ids (n,), n >= 1, into every sample -> the logits of the next character, (N, V), and the state after them.

    A state of None is the zero state of one sample. The ids go through the model's own forward, on its backend and
    device: fast for long prompts.
    """
    device, N = model.W_hq.device, 1
    carried: tuple[torch.Tensor, ...] | None = None
    if state is not None:
        N = len(state[0][0])
        carried = tuple(torch.from_numpy(np.stack(part)).to(device) for part in zip(*state, strict=True))
    with evaluation_mode(model):
        for start in range(0, len(ids), CHUNK):
            X = torch.from_numpy(ids[start : start + CHUNK]).to(device)
            logits, carried = model(X.expand(N, -1), carried)
    assert carried is not None, "the prompt is empty"
    return logits[-N:].cpu().numpy(), list(zip(*(part.cpu().numpy() for part in carried), strict=True))
