"""`evaluate`: score a checkpoint on held-out text."""

import argparse
import json
from pathlib import Path

from lstmlm.commands import arguments
from lstmlm.errors import BadInput


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=("train", "val", "test"), help="part of the text (default: val)")
    command.add_argument(
        "--file", help="score this text instead of the run's own: whole, or the part that --split names"
    )
    arguments.checkpoint(command)
    arguments.backend(command)
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    from lstmlm import checkpoint

    loaded = checkpoint.load(checkpoint.find(options.checkpoint))
    name, text, split_name, split_hash = text_to_score(loaded.record, options.split, options.file)

    import torch

    from lstmlm.evaluation import evaluate

    model, vocab = loaded.build(options.backend)
    ids = torch.from_numpy(vocab.encode(text))
    if len(ids) < 2:
        raise BadInput(f"--split: {name} has {len(ids)} characters: scoring needs at least 2")
    score = evaluate(model, ids)
    row = {
        "split": name,
        "nats_per_char": score.nats_per_char,
        "bits_per_char": score.bits_per_char,
        "perplexity": score.perplexity,
        "num_chars": score.num_chars,
        "num_unknown": int((ids[1:] == vocab.unk).sum()),
        "split_name": split_name,
        "split_hash": split_hash,
        "step": loaded.record["step"],
        "backend": model.backend,
    }
    if options.json:
        print(json.dumps(checkpoint.finite(row)))
        return
    print(
        f"{name}: perplexity {score.perplexity:.3f}, {score.bits_per_char:.3f} bits per character, "
        f"{score.nats_per_char:.4f} nats, over {score.num_chars:,} characters "
        f"(split {split_name}, hash {split_hash[:12]}), weights of step {row['step']}"
    )
    if row["num_unknown"]:
        print(f"{row['num_unknown']} characters that the vocabulary lacks were scored as <unk>")


def text_to_score(record: dict, split: str | None, file: str | None) -> tuple[str, str, str, str]:
    """(part, its text, the split's name, hash): of the run's own corpus, known by its hash, or of `file`."""
    from lstmlm.checkpoint import CONVERTED
    from lstmlm.corpus import read_corpus, sha256, split_text

    data, settings = record["data"], record["config"]["data"]
    if file is not None:
        corpus = read_corpus("file", file, data["preprocess"])
        if split is None:
            return "file", corpus.text, Path(file).name, sha256(corpus.text)
        parts = split_text(corpus.text, settings["split"], settings["max_tokens"])
        return split, parts.part(corpus.text, split), parts.name, parts.hashes[split]
    if data["name"] == CONVERTED:
        raise BadInput("--file: the checkpoint was converted, and has no text of its own: give --file FILE")
    split = split or "val"
    path = None if data["name"] == "tide_clock" else data["path"]
    try:
        corpus = read_corpus(data["name"], path, data["preprocess"])
    except BadInput as error:
        raise BadInput(f"the run's own text: {error}: say where it is with --file FILE --split {split}") from None
    if corpus.sha256 != data["sha256"]:
        raise BadInput(
            f"the run's own text: {corpus.path} has changed since the run: give the old one with --file FILE "
            f"--split {split}, or score this one as it is with --file FILE"
        )
    start, end = data["ranges"][split]
    return split, corpus.text[start:end], data["split"], data["hashes"][split]
