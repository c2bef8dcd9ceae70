"""`score`: how probable a model finds a text."""

import argparse
import math
import sys

from lstmlm.commands import options
from lstmlm.commands.shading import shade_text
from lstmlm.evaluation.units import collect_units
from lstmlm.system.errors import BadInput
from lstmlm.system.escape import escape_controls
from lstmlm.system.json_text import encode_json
from lstmlm.text.vocab import BOUNDARY

NAMES = {"\n": "line end", BOUNDARY: "end of the document"}
WHAT = "FILE"  # the name of the argument in messages


def add_options(command: argparse.ArgumentParser) -> None:
    options.add_checkpoint(command)
    what = "the text, cleaned as the run's was; -: standard input"
    command.add_argument("file", action=options.PathAction, metavar="FILE|-", help=what)
    command.add_argument("--per-char", action="store_true", help="each character with what it costs")
    command.add_argument("--color", action="store_true", help="the text, shaded by what it costs, on a terminal")
    options.add_weights(command)
    options.add_backend(command)
    options.add_small_weights(command, "score, and say what it costs,")
    options.add_json(command)


def run(args: argparse.Namespace) -> None:
    import torch

    from lstmlm.evaluation.held_out import count_unknown, read_given_files, read_like_own_text
    from lstmlm.evaluation.scoring import Score, evaluate_pieces, score_chars
    from lstmlm.evaluation.stepped import SteppedModel
    from lstmlm.text.corpus import cut_pieces
    from lstmlm.text.leak import doubt_unknown

    is_small = options.check_small_weights(args)
    torch.set_num_threads(1)  # products with one vector: threads would only wait for each other
    loaded = options.load_chosen_weights(args.checkpoint, args.ema)
    model, vocab = loaded.build(args.backend)
    scored = SteppedModel(loaded, args.weights) if is_small else model
    if args.file == "-":
        text = read_like_own_text(loaded, sys.stdin.buffer.read(), "standard input", WHAT)
    else:
        text = read_given_files(loaded, args.file, WHAT)
    ids = torch.from_numpy(vocab.encode(text))
    pieces = cut_pieces(ids, vocab)
    if not any(len(piece) > 1 for piece in pieces):
        raise BadInput(f"{args.file}: has {len(ids)} characters: scoring needs at least 2")
    nats = torch.cat(score_chars(scored, pieces))
    score, bytes_per_char = Score(nats.sum().item(), len(nats)), vocab.count_bytes(text) / len(ids)
    row = {
        "nats": score.nats,
        **collect_units(score.nats_per_char, bytes_per_char),
        "num_chars": score.num_chars,
        "num_unknown": 0 if vocab.unk is None else count_unknown(pieces, vocab),
        "step": loaded.record["step"],
        "ema": args.ema,
        "backend": scored.backend,
    }
    if is_small:
        row |= {"weights": args.weights, "float32_nats_per_char": evaluate_pieces(model, pieces).nats_per_char}
    if doubt := doubt_unknown("the text", row["num_unknown"], row["num_chars"]):
        print(f"warning: {doubt}", file=sys.stderr)
    shown = [vocab.decode([idx]) for piece in pieces for idx in piece[1:].tolist()]
    costs = list(zip(shown, nats.tolist(), strict=True))
    if args.json:
        print(encode_json(row | ({"chars": costs} if args.per_char else {})))
        return
    if args.color and sys.stdout.isatty():
        print(shade_text((char for char, _ in costs), (cost for _, cost in costs)))
    if args.per_char:
        print("nats     probability  character (the first of the text is given, not scored)")
        for char, cost in costs:
            print(f"{cost:7.4f}  {math.exp(-cost):11.4%}  {NAMES.get(char) or escape_controls(char)}")
    print(
        f"{row['nats']:.2f} nats in all, {row['nats_per_char']:.4f} a character, perplexity {row['perplexity']:.3f}, "
        f"{row['bits_per_char']:.3f} bits per character, {row['bits_per_byte']:.3f} per byte, "
        f"over {row['num_chars']:,} characters"
    )
    if is_small:
        print(options.format_small_weights(row))
    if row["num_unknown"]:
        print(f"{row['num_unknown']} characters that the vocabulary lacks were scored as <unk>")
