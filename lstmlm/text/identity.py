"""Is a text the one that a run was trained on, divided as then? No torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lstmlm.text.origin import Origin

if TYPE_CHECKING:
    from lstmlm.text.corpus import Corpus


def explain_other_bytes(recorded: Mapping[str, Any], origin: Origin) -> str | None:
    """Why the files are not those of the run whose checkpoint has `recorded` of its text; None if they are."""
    return None if origin.sha256 == recorded["sha256"] else f"{origin.path} has changed since the run"


def explain_other_parts(recorded: Mapping[str, Any], vocab: Sequence[str], corpus: "Corpus") -> str | None:
    """Why the parts, or the vocabulary, are not those of the run; None if they are.

    The same bytes may be divided otherwise: by other files for the validation, or where one file ends and the next
    begins.
    """
    for which, now in corpus.hashes.items():
        if now != (before := recorded["hashes"][which]):
            return f"{corpus.origin.path} is divided otherwise: its {which} part has hash {now[:12]}, was {before[:12]}"
    if corpus.vocab.idx_to_token != list(vocab):
        return "the vocabulary in the checkpoint is not that of its text"
    return None
