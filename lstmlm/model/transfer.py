"""Trained weights for another vocabulary: what belongs to a character goes with the character, not with its number.

V = vocab_size, H = num_hiddens, E = embedding_dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lstmlm.layers.contract import Tensors
from lstmlm.text.vocab import BOUNDARY, UNK


@dataclass(frozen=True)
class TokenMatch:
    """Two vocabularies, compared. Tokens that are no characters are taken over where both have them, and not listed."""

    pairs: list[tuple[int, int]]  # (id before, id now) of every token that both have
    taken_over: list[str]
    new: list[str]
    lost: list[str]


def match_tokens(before: Sequence[str], now: Sequence[str]) -> TokenMatch:
    """The tokens of the vocabulary `now` that the one `before` has, those that it lacks, and those that are gone."""
    ids = {token: idx for idx, token in enumerate(before)}
    pairs = [(ids[token], idx) for idx, token in enumerate(now) if token in ids]
    there = set(now)
    names = [token for token in now if not is_symbol(token)]
    return TokenMatch(
        pairs,
        [token for token in names if token in ids],
        [token for token in names if token not in ids],
        [token for token in before if not is_symbol(token) and token not in there],
    )


def is_symbol(token: str) -> bool:
    """Whether a token is no character: <unk>, the boundary of documents, or a label."""
    return token == UNK or token.startswith(BOUNDARY)


def transfer_weights(trained: Tensors, fresh: Tensors, match: TokenMatch) -> Tensors:
    """The trained weights with the vocabulary of `fresh`, which has the values of new characters. Both book names.

    The rows of the inputs (`W_e` (V, E), or `layers.0.W_x*` (V, H) without an embedding), the columns of `W_hq` (H, V)
    and the entries of `b_q` (V,) follow their characters. All other tensors are those of `trained`.
    """
    inputs = ["W_e"] if "W_e" in trained else [name for name in trained if name.startswith("layers.0.W_x")]
    before, now = (torch.tensor(ids, dtype=torch.int64) for ids in zip(*match.pairs, strict=True))
    weights = dict(trained)
    for name in [*inputs, "W_hq", "b_q"]:
        axis = 1 if name == "W_hq" else 0
        weights[name] = fresh[name].index_copy(axis, now, trained[name].index_select(axis, before))
    return weights
