"""`generate --documents`: documents, separated as the source's were, and how many of them are copies."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lstmlm.commands.display import Say, print_note
from lstmlm.system.errors import BadInput
from lstmlm.text.labels import choose_begin

if TYPE_CHECKING:
    from lstmlm.checkpoints.record import Record
    from lstmlm.model.model_config import ModelConfig
    from lstmlm.text.vocab import Vocab


def check_documents(vocab: "Vocab", documents: int | None, interactive: bool) -> None:
    """BadInput for --documents without a model of documents, and for --interactive with one."""
    if documents is not None and vocab.boundary is None:
        raise BadInput("--documents: the model was trained on one stream of text, without ends: use --samples")
    if interactive and vocab.boundary is not None:
        raise BadInput("--interactive: the model writes documents, which end: use --documents")


def choose_label(vocab: "Vocab", label: str | None) -> str:
    """The symbol before the documents of --label; BadInput for one that the model lacks. A note, if it is left out."""
    if label is None and vocab.labels:
        names = ", ".join(map(ascii, vocab.labels))
        print_note(f"no --label: documents with the first of the labels {names}")
    return choose_begin(vocab, label, "--label")


def check_guidance(guidance: float, config: "ModelConfig", backend: str | None) -> None:
    """BadInput for --guidance out of its bounds, or where it can do nothing."""
    if not 0 <= guidance < math.inf:
        raise BadInput(f"--guidance: must be 0 (the model's own text) or more, got {guidance:g}")
    if guidance and not config.num_labels:
        raise BadInput("--guidance: the model was trained without labels (data.label): leave it out")
    if guidance and backend is not None:
        raise BadInput("--guidance: cannot be had together with --backend: leave one out")


def write_documents(record: "Record", documents: Sequence[str], ended: int, say: Say) -> None:
    """Write the documents, and note how many were cut off and how many stand word for word in the training text.

    `record` is that of the checkpoint, `ended` is the number of documents that the model ended.
    """
    from lstmlm.evaluation.given_text import get_data_settings
    from lstmlm.generation.documents import SEPARATORS

    separator = SEPARATORS[get_data_settings(record).documents or "line"]
    say(separator.join(documents) + "\n")
    if cut := len(documents) - ended:
        print_note(f"{cut} of {len(documents)} were cut off at --length")
    try:
        known = read_training_documents(record)
    except BadInput as error:
        print_note(f"not compared with the training text: {error}")
        return
    copies = sum(document in known for document in documents)
    print_note(f"{copies} of {len(documents)} stand word for word in the training text")


def read_training_documents(record: "Record") -> set[str]:
    """The documents that the model of a checkpoint was trained on; BadInput where they are missing or have changed."""
    from lstmlm.evaluation.given_text import get_data_settings
    from lstmlm.text.documents import divide_documents, read_documents
    from lstmlm.text.identity import explain_other_bytes
    from lstmlm.text.origin import find_origin
    from lstmlm.text.published import is_at_hand

    data = get_data_settings(record)
    if data.path is None and not is_at_hand(data.name):
        raise BadInput(f"data={data.name} is not in the cache, where a run puts it")
    origin = find_origin(data)
    if why := explain_other_bytes(record["data"], origin):
        raise BadInput(why)
    parts, _ = divide_documents(read_documents(origin, data)[0], data)
    return {document.text for document in parts["train"]}
