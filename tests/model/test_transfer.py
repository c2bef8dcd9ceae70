"""Trained weights for another vocabulary: what belongs to a character goes with the character."""

import pytest
import torch
from helpers.forms import make_model

from lstmlm.layers.registry import BACKENDS
from lstmlm.model.transfer import match_tokens, transfer_weights

BEFORE = ["<unk>", *"abcdef"]


def transferred(before, now, **form):
    """A model, and another that has its weights for the vocabulary `now`."""
    first, second = (
        make_model("scratch", seed=seed, vocab_size=len(tokens), num_layers=2, **form).eval()
        for seed, tokens in enumerate((before, now))
    )
    weights = transfer_weights(first.book_weights(), second.book_weights(), match_tokens(before, now))
    fresh = second.book_weights()
    second.load_book_weights(weights)
    return first, second, fresh


@pytest.mark.parametrize("embedding_dim", [None, 3])
@pytest.mark.parametrize("cell", BACKENDS)
def test_the_same_characters_under_other_numbers_are_the_same_model(cell, embedding_dim):
    now = ["<unk>", *"fbdcae"]
    first, second, _ = transferred(BEFORE, now, cell=cell, embedding_dim=embedding_dim)
    ids = torch.randint(1, 7, (2, 9))
    renumbered = torch.tensor([now.index(token) for token in BEFORE])
    logits, state = first(ids)
    others, same_state = second(renumbered[ids])
    torch.testing.assert_close(others[:, renumbered], logits)
    for one, other in zip(state, same_state, strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize("embedding_dim", [None, 3])
def test_new_characters_have_fresh_weights_and_lost_ones_none(embedding_dim):
    now = ["<unk>", *"cxa"]
    first, second, fresh = transferred(BEFORE, now, embedding_dim=embedding_dim)
    before, weights = first.book_weights(), second.book_weights()
    for name in ["W_e"] if embedding_dim else ["layers.0.W_xi", "layers.0.W_xc"]:
        assert torch.equal(weights[name][[0, 1, 3]], before[name][[0, 3, 1]])
        assert torch.equal(weights[name][2], fresh[name][2])
    assert torch.equal(weights["W_hq"][:, [0, 1, 3]], before["W_hq"][:, [0, 3, 1]])
    assert torch.equal(weights["W_hq"][:, 2], fresh["W_hq"][:, 2]) and weights["b_q"][2] == fresh["b_q"][2]
    for name in ("layers.0.W_hf", "layers.1.W_xo", "layers.1.b_c"):
        assert torch.equal(weights[name], before[name])


def test_characters_are_counted_by_what_becomes_of_them():
    match = match_tokens(BEFORE, ["<unk>", *"cxay"])
    assert (match.taken_over, match.new, match.lost) == (["c", "a"], ["x", "y"], ["b", "d", "e", "f"])
    assert sorted(match.pairs) == [(0, 0), (1, 3), (3, 1)]


def test_a_vocabulary_of_other_characters_keeps_the_recurrent_weights_alone():
    now = ["<unk>", *"xyz"]
    first, second, fresh = transferred(BEFORE, now)
    assert torch.equal(second.book_weights()["layers.0.W_hi"], first.book_weights()["layers.0.W_hi"])
    assert torch.equal(second.book_weights()["W_hq"][:, 1:], fresh["W_hq"][:, 1:])
