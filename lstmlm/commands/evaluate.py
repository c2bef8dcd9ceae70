"""`evaluate`: score a checkpoint on held-out text."""

import argparse
import json

from lstmlm.commands import arguments
from lstmlm.errors import BadInput


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=("train", "val", "test"), help="part of the text (default: val)")
    command.add_argument(
        "--file", help="score this text instead of the run's own: whole, or the part that --split names"
    )
    command.add_argument(
        "--windows",
        type=int,
        metavar="N",
        help="also from an empty state every N characters, as transformers are scored",
    )
    arguments.checkpoint(command)
    arguments.backend(command)
    arguments.as_json(command)


def run(options: argparse.Namespace) -> None:
    if options.windows is not None and options.windows < 1:
        raise BadInput(f"--windows: must be 1 or more, got {options.windows}")
    import torch

    from lstmlm import checkpoint
    from lstmlm.evaluation import evaluate_pieces, evaluate_windows
    from lstmlm.held_out import held_out

    torch.set_num_threads(1)  # one stream: products with a vector, for which threads would wait for each other
    loaded = checkpoint.load(checkpoint.find(options.checkpoint))
    part = held_out(loaded, options.split, options.file)
    model, _ = loaded.build(options.backend)
    score = evaluate_pieces(model, part.pieces)
    if score.num_chars == 0:
        raise BadInput(f"--split: {part.name} has {part.num_chars} characters: scoring needs at least 2")
    row = {"split": part.name, **figures(score, part.bytes_per_char), "num_chars": score.num_chars}
    if options.windows is not None:
        windowed = figures(evaluate_windows(model, part.pieces, options.windows), part.bytes_per_char)
        row |= {"windows": options.windows} | {f"windowed_{key}": value for key, value in windowed.items()}
    row |= {"num_unknown": part.num_unknown, "split_name": part.split_name, "split_hash": part.split_hash}
    row |= {"step": loaded.record["step"], "backend": model.backend}
    print(json.dumps(checkpoint.finite(row)) if options.json else account(row))


def figures(score, bytes_per_char: float) -> dict[str, float]:
    return {
        "nats_per_char": score.nats_per_char,
        "bits_per_char": score.bits_per_char,
        "bits_per_byte": score.bits_per_char / bytes_per_char,
        "perplexity": score.perplexity,
    }


def account(row: dict) -> str:
    """The figures in words, with what they are of."""

    def words(prefix: str = "") -> str:
        return (
            f"perplexity {row[prefix + 'perplexity']:.3f}, {row[prefix + 'bits_per_char']:.3f} bits per character, "
            f"{row[prefix + 'bits_per_byte']:.3f} per byte, {row[prefix + 'nats_per_char']:.4f} nats"
        )

    lines = [
        f"{row['split']}: {words()}, over {row['num_chars']:,} characters "
        f"(split {row['split_name']}, hash {row['split_hash'][:12]}), weights of step {row['step']}"
    ]
    if "windows" in row:
        lines.append(f"in windows of {row['windows']} characters, each from an empty state: {words('windowed_')}")
    if row["num_unknown"]:
        lines.append(f"{row['num_unknown']} characters that the vocabulary lacks were scored as <unk>")
    return "\n".join(lines)
