"""The trained weights that a run with `init_from` starts from, for the vocabulary of its text."""

from dataclasses import dataclass
from typing import Any

from lstmlm.checkpoints.checkpoint import load_checkpoint
from lstmlm.layers.contract import Tensors
from lstmlm.model.transfer import TokenMatch, match_tokens
from lstmlm.runs.inherit import find_start, name_init_from
from lstmlm.settings.config import Config
from lstmlm.system.errors import BadInput
from lstmlm.system.hashing import hash_text
from lstmlm.text.vocab import Vocab, restore_vocab


@dataclass(frozen=True)
class Start:
    weights: Tensors  # of the checkpoint, under the book's names, with its own vocabulary
    match: TokenMatch  # of its vocabulary and that of the run
    origin: dict[
        str, Any
    ]  # what the checkpoints of the run record: path, SHA-256 and step of the file, name of its text


def load_start(config: Config, vocab: Vocab) -> Start | None:
    """The start of a new run whose text has this vocabulary; None without init_from.

    BadInput if the file is refused, or its model reads bytes and the run characters, or the other way round.
    """
    if config.init_from is None:
        return None
    path = find_start(config.init_from)
    try:
        loaded, sha256 = load_checkpoint(path), hash_text(path.read_bytes())
    except BadInput as error:
        raise name_init_from(error) from None
    theirs = restore_vocab(loaded.record["vocab"])
    if (theirs.unk is None) != (vocab.unk is None):
        kind, advice = ("bytes", "add data.vocab=byte") if theirs.unk is None else ("characters", "leave it out")
        raise BadInput(
            f"data.vocab: is {config.data.vocab}, the model of init_from={config.init_from} reads {kind}: {advice}"
        )
    origin = {"path": str(path.absolute()), "sha256": sha256, "step": loaded.record["step"]}
    origin["text"] = loaded.record["data"]["name"]
    return Start(loaded.weights, match_tokens(theirs.idx_to_token, vocab.idx_to_token), origin)
