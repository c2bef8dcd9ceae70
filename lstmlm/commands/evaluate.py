"""`evaluate`: score a checkpoint, or the mean of several, on held-out text."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lstmlm.commands import adaptive_options, mix_options, options
from lstmlm.evaluation.units import collect_units, format_units
from lstmlm.system.dotted import under
from lstmlm.system.errors import BadInput
from lstmlm.system.json_text import encode_json

if TYPE_CHECKING:
    from torch import Tensor

    from lstmlm.checkpoints.checkpoint import Checkpoint
    from lstmlm.evaluation.held_out import Part
    from lstmlm.model.rnn_model import RNNModel
    from lstmlm.settings.adaptive import AdaptiveSettings
    from lstmlm.text.corpus import Corpus

Row = dict[str, Any]  # what --json prints


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=("train", "val", "test"), help="part of the text (default: val)")
    command.add_argument(
        "--file",
        action=options.PathAction,
        help="score this text instead of the run's own: whole, or the part that --split names",
    )
    command.add_argument(
        "--windows",
        type=int,
        metavar="N",
        help="also from an empty state every N characters, as transformers are scored",
    )
    adaptive_options.add_adaptive(command)
    mix_options.add_options(command)
    options.add_checkpoint(command, "*", "; of several the mean of their probabilities is scored; left out: latest")
    options.add_weights(command)
    options.add_backend(command)
    options.add_small_weights(command, "score, and say what it costs,")
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    if args.windows is not None and args.windows < 1:
        raise BadInput(f"--windows: must be 1 or more, got {args.windows}")
    settings = adaptive_options.read_adaptive(args)
    is_small = options.check_small_weights(args)
    if is_small and args.adaptive:
        raise BadInput(f"--weights: {args.weights} weights cannot learn: leave --weights or --adaptive out")
    if is_small and len(args.checkpoint) > 1:
        raise BadInput(f"--weights: {args.weights} takes one run, got {len(args.checkpoint)}: score each by itself")
    import torch

    from lstmlm.checkpoints.files import BEST, LAST
    from lstmlm.evaluation.held_out import list_doubts_of_part, load_held_out
    from lstmlm.evaluation.scoring import evaluate_windows, score_chars, sum_scores
    from lstmlm.evaluation.stepped import SteppedModel
    from lstmlm.model.ensemble import Ensemble

    torch.set_num_threads(1)  # products with one vector: threads would only wait for each other
    args.checkpoint = args.checkpoint or [str(options.find_named_run(None, LAST if args.ema else BEST))]
    runs = [options.load_chosen_weights(run, args.ema) for run in args.checkpoint]
    check_alike(args.checkpoint, "vocabularies", [loaded.record["vocab"] for loaded in runs])
    parts = [load_held_out(loaded, args.split, args.file) for loaded in runs]
    check_alike(args.checkpoint, f"texts for {parts[0].name}, by hash", [other.split_hash for other in parts])
    for doubt in list_doubts_of_part(runs[0], parts[0]):
        print(f"warning: {doubt}", file=sys.stderr)
    models = [loaded.build(args.backend)[0] for loaded in runs]
    part = parts[0]
    in_float32 = models[0] if len(models) == 1 else Ensemble(models)
    model = SteppedModel(runs[0], args.weights) if is_small else in_float32
    if not any(len(piece) > 1 for piece in part.pieces):
        raise BadInput(f"--split: {part.name} has {part.num_chars} characters: scoring needs at least 2")
    corpus = find_corpus(args, runs, part) if args.adaptive or args.mix else None
    nats = score_chars(model, part.pieces)
    score = sum_scores(nats)
    row: Row = {"split": part.name, **collect_units(score.nats_per_char, part.bytes_per_char)}
    row |= {"num_chars": score.num_chars}
    if args.windows is not None:
        windowed = evaluate_windows(model, part.pieces, args.windows)
        units = collect_units(windowed.nats_per_char, part.bytes_per_char)
        row |= {"windows": args.windows} | {f"windowed_{key}": value for key, value in units.items()}
    row |= {"num_unknown": part.num_unknown, "split_name": part.split_name, "split_hash": part.split_hash}
    if is_small:
        exact = sum_scores(score_chars(in_float32, part.pieces))
        row |= {"weights": args.weights, "float32_nats_per_char": exact.nats_per_char}
    steps = [loaded.record["step"] for loaded in runs]
    backends = [None] if is_small else [each.backend for each in models]
    row |= {"models": len(models), "step": unwrap_single(steps), "ema": args.ema, "backend": unwrap_single(backends)}
    if corpus is not None:
        row |= score_with_training_text(args, models[0], corpus, part, nats, settings)
    print(encode_json(row) if args.json else format_report(row))


def find_corpus(args: argparse.Namespace, runs: "list[Checkpoint]", part: "Part") -> "Corpus":
    """The training text, for --adaptive and --mix. BadInput if it is missing, or is what is scored."""
    from lstmlm.evaluation.held_out import find_training_corpus

    option = "--adaptive" if args.adaptive else "--mix"
    corpus = find_training_corpus(runs[0], args.file if args.split else None, option)
    if args.mix:
        check_alike(args.checkpoint, "training texts, by hash", [run.record["data"]["hashes"]["train"] for run in runs])
        mix_options.check_corpus(corpus, part)
    return corpus


def score_with_training_text(
    args: argparse.Namespace,
    model: "RNNModel",
    corpus: "Corpus",
    part: "Part",
    nats: "list[Tensor]",
    settings: "AdaptiveSettings",
) -> Row:
    """The entries of --mix and --adaptive. `nats` are the costs of the scored characters under the fixed weights."""
    from lstmlm.evaluation.adaptive_evaluation import evaluate_part_adaptively
    from lstmlm.evaluation.scoring import sum_scores

    row: Row = {}
    vocab_size = len(corpus.vocab)
    if args.mix:
        row["mix"] = mix_options.evaluate_mixture(nats, corpus, part, vocab_size, growing=False)
    if args.adaptive:
        adapted = evaluate_part_adaptively(model, corpus, part, settings, args.adapt_tune, args.adapt_lr is None)
        units = collect_units(sum_scores(adapted.nats).nats_per_char, part.bytes_per_char)
        how = asdict(adapted.settings) | {"tuned_on": None} | (asdict(adapted.choice) if adapted.choice else {})
        row["adaptive"] = units | {"settings": how}
        if args.mix:
            row["adaptive_mix"] = mix_options.evaluate_mixture(adapted.nats, corpus, part, vocab_size, growing=True)
    return row


def check_alike(runs: list[str], what: str, values: Sequence[object]) -> None:
    """BadInput that names two runs, if the values of the runs are not all equal; `what` names the values."""
    for run, value in zip(runs, values, strict=True):
        if value != values[0]:
            raise BadInput(f"checkpoint: {runs[0]} and {run} have different {what}: score them one by one")


def unwrap_single(values: Sequence[object]) -> object:
    """The value of a single model; the values, if there are several."""
    return values[0] if len(values) == 1 else values


def format_report(row: Row) -> str:
    """The row of --json as lines for people."""
    weights = f"{'averaged ' if row['ema'] else ''}weights of step {row['step']}"
    if row["models"] > 1:
        weights = f"mean probabilities of {row['models']} models, of steps {', '.join(map(str, row['step']))}"
    lines = [
        f"{row['split']}: {format_units(row)}, over {row['num_chars']:,} characters "
        f"(split {row['split_name']}, hash {row['split_hash'][:12]}), {weights}"
    ]
    if "windows" in row:
        units = format_units(under("windowed_", row))
        lines.append(f"in windows of {row['windows']} characters, each from an empty state: {units}")
    if "adaptive" in row:
        lines += adaptive_options.format_adaptive(row["adaptive"]["settings"], format_units(row["adaptive"]))
    if "weights" in row:
        lines.append(options.format_small_weights(row))
    lines += [mix_options.format_mixture(row[key]) for key in ("mix", "adaptive_mix") if key in row]
    if row["num_unknown"]:
        lines.append(f"{row['num_unknown']} characters that the vocabulary lacks were scored as <unk>")
    return "\n".join(lines)
