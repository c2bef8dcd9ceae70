"""Characters with a label: the input of every step of a labelled document is the sum of two rows.

T = num_steps, B = batch_size, V = vocab_size, E = embedding_dim.

    X_t = one-hot row of the character + one-hot row of the label        or the same rows of W_e

So a label is a bias of the first layer, b + W_x[label], which the model cannot forget; one that is read once, before
the text, is forgotten after some characters (benchmarks/LOG.md). As ids, a character of a document with label k = 1, 2,
... is its own id + k * V, and the label has the id k + FIRST_LABEL - 1 (text/labels.py).
"""

import torch
from torch import Tensor

from lstmlm.layers.contract import as_int64, check_range
from lstmlm.text.labels import FIRST_LABEL


def make_labelled_rows(ids: Tensor, rows: Tensor | None, vocab_size: int, num_labels: int, like: Tensor) -> Tensor:
    """The inputs of ids (T, B) with their labels: (T, B, V), or (T, B, E) of `rows` (V, E), in the dtype of `like`.

    RuntimeError if an id is out of range.
    """
    ids = as_int64(ids)
    check_range(ids, vocab_size * (num_labels + 1))
    numbers, characters = ids // vocab_size, ids % vocab_size
    labels, has_label = numbers + FIRST_LABEL - 1, (numbers > 0).to(like.dtype)[..., None]
    if rows is not None:
        return rows[characters] + rows[labels] * has_label
    X = torch.zeros(*ids.shape, vocab_size, dtype=like.dtype, device=ids.device)
    return X.scatter_(-1, characters[..., None], 1).scatter_add_(-1, labels[..., None], has_label)
