"""The labels of documents, as `data.label` says: each has a mark, which stands before its documents. No torch.

V = vocab_size, n = characters of a text. The text of a document has its label once, as its first symbol. A model has it
with every character: as an input, the id of a character of a document with label k = 1, 2, ... is its own + k * V.
"""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from lstmlm.system.arrays import Ids
from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import BOUNDARY, LABEL_MARKS, Vocab

FIRST_LABEL = 2  # the id of the first label; <unk> and the boundary come before
NO_LABELS: Mapping[str, str] = MappingProxyType({})


def list_labels(found: Iterable[str | None], column: str | None) -> list[str]:
    """The different labels in the order of their names; none without a column. BadInput where they are no labels."""
    labels = sorted({label or "" for label in found}) if column is not None else []
    if "" in labels:
        raise BadInput(f"data.label: a row has nothing in {column!a}: give every row a label")
    if len(labels) > len(LABEL_MARKS):
        raise BadInput(
            f"data.label: {column!a} has {len(labels):,} different values: at most {len(LABEL_MARKS)} are labels"
        )
    return labels


def add_labels(ids: Ids, num_labels: int, vocab_size: int) -> Ids:
    """The ids (n,) of a text as inputs of a model: with k * V added from a label's symbol on to the next one."""
    if num_labels == 0:
        return ids
    is_label = (ids >= FIRST_LABEL) & (ids < FIRST_LABEL + num_labels)
    last = np.maximum.accumulate(np.where(is_label, np.arange(len(ids)), -1))
    inputs: Ids = ids + vocab_size * np.where(last < 0, 0, ids[last] - FIRST_LABEL + 1)
    return inputs


def find_label_mark(labels: Mapping[str, str], label: str | None, what: str) -> str:
    """The mark of a label. BadInput names the nearest that there is; `what` names the setting or option."""
    if label is not None and label in labels:
        return labels[label]
    near = difflib.get_close_matches(label or "", labels, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!a:.80}?" if near else f"the labels are {', '.join(map(ascii, labels)):.200}"
    raise BadInput(f"{what}: no such label: {label!a:.80}: {advice}")


def choose_begin(vocab: Vocab, label: str | None = None, what: str = "label") -> str:
    """The symbol before a document: of labelled ones the mark of `label`, or of the first without one; "" of a stream.

    BadInput for a label that the model does not have.
    """
    if label is not None and not vocab.labels:
        raise BadInput(f"{what}: the model was trained without labels (data.label): leave it out")
    if label is not None:
        return find_label_mark(vocab.labels, label, what)
    return next(iter(vocab.labels.values()), BOUNDARY if vocab.boundary is not None else "")
