"""Not in the book: how well a model of the book predicts text that it was not trained on.

n = characters, V = vocab_size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as functional

from lstmlm.d2l.models import Device, Net, evaluating
from lstmlm.evaluation.units import compute_perplexity


@torch.no_grad()
def evaluate_perplexity(net: Net, corpus: Sequence[int], device: Device, num_steps: int = 1000) -> float:
    """The perplexity of n ids read as one stream: from the zero state, the state carried, the weights fixed.

    Every character but the first is scored once. `num_steps` are read at a time; that does not change the result.
    """
    ids, nats = torch.tensor(corpus, device=device), 0.0
    state = net.begin_state(batch_size=1, device=device)
    with evaluating(net):
        for start in range(0, len(ids) - 1, num_steps):
            window = ids[start : start + num_steps + 1]
            logits, state = net(window[None, :-1], state)
            nats += functional.cross_entropy(logits, window[1:], reduction="sum").item()
    return compute_perplexity(nats / (len(ids) - 1))
