"""The labels of documents, as `data.label` says: each has a mark, which stands before its documents. No torch."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lstmlm.system.errors import BadInput
from lstmlm.text.vocab import BOUNDARY, LABEL_MARKS, Vocab

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
