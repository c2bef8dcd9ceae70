"""decode(encode(x)) == x for any covered text; other characters become <unk> and are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmlm.system.errors import BadInput
from lstmlm.text.oov import check_text
from lstmlm.text.vocab import UNK, Vocab


@given(st.text(min_size=1))
def test_a_covered_text_comes_back(text):
    vocab = Vocab(text)
    assert vocab.decode(vocab.encode(text)) == text
    assert not vocab.find_unknown(text)
    assert len(vocab) == len(set(text)) + 1


@given(st.text(min_size=1), st.text())
def test_unknown_characters_become_unk_and_are_named(text, other):
    vocab = Vocab(text)
    ids = vocab.encode(other)
    assert ids.dtype == np.int64 and len(ids) == len(other)
    missing = [(k, char) for k, char in enumerate(other) if char not in text]
    assert vocab.find_unknown(other) == missing
    assert [int(k) for k in np.flatnonzero(ids == vocab.unk)] == [k for k, _ in missing]
    assert vocab.decode(ids) == "".join(char if char in text else UNK for char in other)
    if missing:
        with pytest.raises(BadInput, match=f"U\\+{ord(missing[0][1]):04X}.*position {missing[0][0]}\\b"):
            check_text(vocab, other, "prompt")


def test_ids_fall_in_frequency_after_unk_as_in_d2l():
    vocab = Vocab("abbccc")
    assert vocab.idx_to_token == [UNK, "c", "b", "a"]
    assert vocab.token_freqs == [("c", 3), ("b", 2), ("a", 1)]
    assert vocab["b"] == 2 and vocab[["a", "?"]] == [3, 0] and vocab.unk == 0
    assert vocab.to_tokens(2) == "b" and vocab.to_tokens([3, 0]) == ["a", UNK]
    assert Vocab("abbccc", min_freq=2, reserved_tokens=["<pad>"]).idx_to_token == [UNK, "<pad>", "c", "b"]


def test_a_stored_vocabulary_gives_the_same_ids():
    vocab = Vocab("the tide clock")
    assert Vocab.from_tokens(vocab.idx_to_token).token_to_idx == vocab.token_to_idx
