"""`floors`: what held-out text costs without a network."""

import argparse
import json

from lstmlm.commands import arguments
from lstmlm.errors import BadInput


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=("val", "test"), default="val", help="held-out part (default: val)")
    arguments.overrides(command)
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    from lstmlm.compose import compose_settings
    from lstmlm.corpus import read_corpus, split_text
    from lstmlm.floors import LIMIT, best_ngram, compressor_floors, ngram_floors
    from lstmlm.vocab import Vocab

    data = compose_settings(options.overrides).data
    corpus = read_corpus(data.name, data.path, data.preprocess)
    split = split_text(corpus.text, data.split, data.max_tokens)
    train, held_out = (split.part(corpus.text, which) for which in ("train", options.split))
    if len(held_out) < 2:
        raise BadInput(f"--split: {options.split} has {len(held_out)} characters: scoring needs at least 2")
    vocab = Vocab(train)
    ngrams = ngram_floors([vocab.encode(train)], [vocab.encode(held_out)])
    best = best_ngram(ngrams).name
    rows = [
        {
            "name": floor.name,
            "nats_per_char": floor.nats_per_char,
            "bits_per_char": floor.bits_per_char,
            "perplexity": floor.perplexity,
        }
        for floor in ngrams + compressor_floors([train], [held_out])
    ]
    about = {
        "split": options.split,
        "split_name": split.name,
        "split_hash": split.hashes[options.split],
        "num_chars": len(held_out) - 1,
        "train_chars": len(train),
        "train_chars_read": min(len(train), LIMIT),
        "best_ngram": best,
    }
    if options.json:
        print(json.dumps(about | {"rows": rows}))
        return
    print(
        f"{corpus.path.name}, {options.split}: over {about['num_chars']:,} characters "
        f"(split {split.name}, hash {about['split_hash'][:12]}), given the {len(train):,} of train"
        + (f", of which the last {LIMIT:,} are read" if len(train) > LIMIT else "")
    )
    print(table(rows, best))


def table(rows: list[dict], best: str) -> str:
    lines = [f"{'':<9}{'nats':>8}{'bits':>8}{'perplexity':>12}"]
    notes = {
        best: "the best n-gram",
        "xz": "goes on learning while it reads",
        "bzip2": "so does this, in blocks of 900,000 bytes",
    }
    for row in rows:
        figures = f"{row['nats_per_char']:8.4f}{row['bits_per_char']:8.3f}{row['perplexity']:12.3f}"
        lines.append(f"{row['name']:<9}{figures}  {notes.get(row['name'], '')}".rstrip())
    return "\n".join(lines)
