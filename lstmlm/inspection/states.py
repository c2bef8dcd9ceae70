"""The cells and hidden states of a model over a text, whose pieces are read side by side.

n = characters of the text, B = lanes, T = characters of a block, L = num_layers, H = num_hiddens, S = all states: of
each layer C (of an LSTM) and H, (layers x parts x H).

A lane is a piece of the text. It reads WARM_UP characters before its own, so that its states are those of one stream
up to what a model remembers for longer. The first half of the lanes is the first half of the text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from lstmlm.evaluation.scoring import make_inputs
from lstmlm.layers.fused import FusedLSTM
from lstmlm.model.evaluation_mode import evaluation_mode
from lstmlm.model.rnn_model import RNNModel, State

LANES = 64
SHORTEST_LANE = 256  # characters
WARM_UP = 128
AT_ONCE = 4096  # characters of all lanes: bounds the memory


@dataclass(frozen=True)
class Block:
    """What a model holds after some characters of a text."""

    places: Tensor  # (T * B,) of the characters in the text
    states: Tensor  # (T * B, S)
    surprisal: Tensor  # (T * B,) of the character, in nats; 0 of the first of the text
    entropy: Tensor  # (T * B,) of the prediction of the next character, in nats


def list_parts(model: RNNModel) -> list[tuple[int, str]]:
    """(layer, C or H) of each H columns of the states."""
    return [
        (k, part) for k in range(model.config.num_layers) for part in ("CH" if model.config.cell == "lstm" else "H")
    ]


def make_fast(model: RNNModel) -> RNNModel:
    """The same model with layers that tell C at every step: an LSTM on backend=fused."""
    if model.config.cell != "lstm" or model.backend == "fused":
        return model
    twin = RNNModel(model.config, "fused").to(model.W_hq.device, model.W_hq.dtype)
    twin.load_book_weights(model.book_weights())
    return twin.eval()


def count_lanes(num_chars: int) -> int:
    """An even number of lanes for a text."""
    return max(2, min(LANES, num_chars // SHORTEST_LANE // 2 * 2))


def find_middle(num_chars: int) -> int:
    """The characters of the first half of the lanes."""
    lanes = count_lanes(num_chars)
    return min(num_chars, lanes // 2 * -(-num_chars // lanes))


@torch.no_grad()
def iterate_states(model: RNNModel, ids: Tensor) -> Iterator[Block]:
    """Yield the states of `make_fast(model)` after every character of ids (n,), once each.

    A block has characters of one half of the text (`find_middle`).
    """
    device, count = model.W_hq.device, len(ids)
    lanes = count_lanes(count)
    length = -(-count // lanes)
    starts = torch.arange(lanes, device=device) * length
    inputs, ids = make_inputs(model, ids).to(device, torch.int64), ids.to(device, torch.int64)
    state, before = model.begin_state(lanes, device), torch.empty(0)
    begin, most = -min(WARM_UP, length), max(1, AT_ONCE // lanes)
    while begin < length:
        end = min(begin + most, 0 if begin < 0 else length)
        if begin == 0:  # the text begins in the first lane
            state = tuple(forget_first_lane(part) for part in state)
        places = starts + torch.arange(begin, end, device=device)[:, None]  # (T, B)
        with evaluation_mode(model):
            states, state = read_states(model, inputs[places.T.clamp(0, count - 1)], state)
        logits = states[-1] @ model.W_hq + model.b_q  # (T, B, V)
        if begin >= 0:
            expected = torch.cat([before, logits[:-1]])
            for half in (slice(0, lanes // 2), slice(lanes // 2, lanes)):
                columns = torch.cat([part[:, half] for part in states], 2)
                yield make_block(places[:, half], columns, expected[:, half], logits[:, half], ids)
        before, begin = logits[-1:], end


def make_block(places: Tensor, states: Tensor, before: Tensor, after: Tensor, ids: Tensor) -> Block:
    """A block of the places (T, B), without those behind the end of the text.

    The states (T, B, S) and the logits (T, B, V) after each character, and the logits before it.
    """
    rows = [part.flatten(0, 1) for part in (places, states, before, after)]
    if int(places.max()) >= len(ids):
        kept = rows[0] < len(ids)
        rows = [part[kept] for part in rows]
    surprisal = functional.cross_entropy(rows[2], ids[rows[0]], reduction="none")
    surprisal[rows[0] == 0] = 0
    logprobs = rows[3].log_softmax(1)
    return Block(rows[0], rows[1], surprisal, -(logprobs.exp() * logprobs).sum(1))


def forget_first_lane(part: Tensor) -> Tensor:
    """A part of a state (L, B, H), zero in the first lane: before the text there is nothing to remember."""
    part = part.clone()
    part[:, 0] = 0
    return part


def read_states(model: RNNModel, ids: Tensor, state: State) -> tuple[list[Tensor], State]:
    """The states (T, B, H) of `list_parts` while the model reads ids (B, T), and the next state."""
    if model.config.cell != "lstm":
        return model.hidden_states(ids, state)
    found, Y = [], model.inputs(ids)
    for k, layer in enumerate(model.recurrent_layers):
        assert isinstance(layer, FusedLSTM), "make_fast gives such layers"
        Y, C = layer.follow(Y, (state[0][k], state[1][k]))
        found += [C, Y]
    return found, tuple(torch.stack([part[-1] for part in found[first::2]]) for first in (1, 0))
