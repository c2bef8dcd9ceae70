"""`baselines`: what held-out text costs without a network."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.commands import options
from lstmlm.system.errors import BadInput
from lstmlm.system.table import format_table

if TYPE_CHECKING:
    from lstmlm.system.arrays import Ids
    from lstmlm.text.vocab import Vocab

Row = dict[str, Any]  # a baseline: its name and its score in every unit


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=("val", "test"), default="val", help="held-out part (default: val)")
    options.add_overrides(command)
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    from lstmlm.evaluation.baselines import (
        LIMIT,
        compute_compressor_baselines,
        compute_ngram_baselines,
        find_best_ngram,
        take_last,
    )
    from lstmlm.settings.overrides import compose_settings
    from lstmlm.text.corpus import read_corpus
    from lstmlm.text.leak import list_doubts

    corpus = read_corpus(compose_settings(args.overrides).data)
    for doubt in list_doubts(corpus):
        print(f"warning: {doubt}", file=sys.stderr)
    size = len(corpus.ids[args.split])
    if size < 2:
        raise BadInput(f"--split: {args.split} has {size} characters: scoring needs at least 2")
    train, held_out = ([piece.numpy() for piece in corpus.pieces(which)] for which in ("train", args.split))
    ngrams = compute_ngram_baselines(train, held_out)
    before, after = (
        [to_bytes_of_text(piece, corpus.vocab) for piece in part] for part in (take_last(train, LIMIT), held_out)
    )
    best = find_best_ngram(ngrams).name
    rows: list[Row] = [
        {
            "name": baseline.name,
            "kind": baseline.kind,
            "nats_per_char": baseline.nats_per_char,
            "bits_per_char": baseline.bits_per_char,
            "perplexity": baseline.perplexity,
        }
        for baseline in ngrams + compute_compressor_baselines(before, after, size)
    ]
    about = {
        "split": args.split,
        "split_name": corpus.split.name,
        "split_hash": corpus.hashes[args.split],
        "num_chars": sum(len(piece) - 1 for piece in held_out),
        "train_chars": corpus.split.size("train"),
        "train_chars_read": min(corpus.split.size("train"), LIMIT),
        "best_ngram": best,
    }
    if args.json:
        print(json.dumps(about | {"rows": rows}))
        return
    given = f"{about['train_chars']:,} of train"
    if about["train_chars_read"] < about["train_chars"]:
        given += f", of which the last {LIMIT:,} are read"
    print(
        f"{Path(corpus.origin.path).name}, {args.split}: over {about['num_chars']:,} characters "
        f"(split {about['split_name']}, hash {about['split_hash'][:12]}), given the {given}"
    )
    print(format_rows(rows, best))


def format_rows(rows: list[Row], best: str) -> str:
    """The rows as a table for people, with notes; `best` is the name of the best n-gram."""
    notes = {
        "2-gram": "with absolute discounting: it looks at the 2 characters before",
        best: f"the best n-gram: it looks at the {''.join(filter(str.isdigit, best))} characters before",
        "xz": "goes on learning while it reads",
        "bzip2": "so does this, in blocks of 900,000 bytes",
    }
    cells = [["", "nats", "bits", "perplexity", ""]]
    for row in rows:
        figures = f"{row['nats_per_char']:.4f}", f"{row['bits_per_char']:.3f}", f"{row['perplexity']:.3f}"
        cells.append([row["name"], *figures, notes.get(row["name"], "")])
    return "\n".join(format_table(cells, right=range(1, 4)))


def to_bytes_of_text(piece: "Ids", vocab: "Vocab") -> bytes:
    """The text of a piece (n,) in UTF-8; of a document, without the symbols around it, and with a line end after it."""
    if vocab.boundary is None:
        return vocab.to_bytes(piece)
    return vocab.to_bytes(piece[1:-1]) + b"\n"
