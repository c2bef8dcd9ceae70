"""`evaluate --mix`: its option, and the score of the model mixed with an n-gram of its training text."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lstmlm.evaluation.units import collect_units, format_units
from lstmlm.system.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from lstmlm.evaluation.held_out import Part
    from lstmlm.text.corpus import Corpus


def add_options(command: argparse.ArgumentParser) -> None:
    what = "also mixed with a Kneser-Ney n-gram of the training text; with --adaptive its counts go on, too"
    command.add_argument("--mix", action="store_true", help=what)


def check_corpus(corpus: "Corpus", part: "Part") -> None:
    """BadInput if the scored text is the training text, which the n-gram knows by heart."""
    if corpus.hashes["train"] == part.split_hash:
        raise BadInput("--mix: the scored text is the training text, which the n-gram knows by heart: score another")


def evaluate_mixture(
    model_nats: Sequence["Tensor"], corpus: "Corpus", part: "Part", vocab_size: int, growing: bool
) -> dict[str, Any]:
    """The figures of the mixture. `model_nats` are the costs of the scored characters under the model, in order."""
    import torch

    from lstmlm.evaluation.mixing import ORDER, mix_with_ngram

    train, held_out = ([piece.numpy() for piece in pieces] for pieces in (corpus.pieces("train"), part.pieces))
    mixture = mix_with_ngram(torch.cat(list(model_nats)).numpy(), train, held_out, vocab_size, growing)
    return {
        **collect_units(mixture.score.nats_per_char, part.bytes_per_char),
        "weight": mixture.weight,
        "ngram": f"Kneser-Ney order {ORDER}",
        "ngram_nats_per_char": mixture.ngram.nats_per_char,
        "counts_grow": growing,
    }


def format_mixture(row: dict[str, Any]) -> str:
    """For people: the figures in words, and what is mixed."""
    kind, counts = ("adaptive mixture", "growing") if row["counts_grow"] else ("mixture", "fixed")
    return (
        f"{kind} with an n-gram of the training text: {format_units(row)} ({row['ngram']}, its counts {counts}, alone "
        f"{row['ngram_nats_per_char']:.4f} nats; weight of the model {row['weight']:.2f} at the end)"
    )
