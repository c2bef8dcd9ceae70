"""`generate`: write text from a checkpoint."""

import argparse
import itertools
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lstmlm.commands import options
from lstmlm.commands.display import converse, make_printer, open_output, print_note, read_typed_lines
from lstmlm.commands.documents import check_documents, check_guidance, choose_label, write_documents
from lstmlm.commands.options import spell_option
from lstmlm.commands.prompts import choose_prompt, make_prompt_check, suggest_quoting
from lstmlm.commands.samples import describe_sample, draw_samples, write_samples
from lstmlm.settings.sampling import SamplingSettings
from lstmlm.system.errors import BadInput, advise_on_memory
from lstmlm.system.json_text import encode_json

if TYPE_CHECKING:
    from lstmlm.checkpoints.arrays import TrainedModel
    from lstmlm.evaluation.novelty import Index
    from lstmlm.generation.stepper import Stepper
    from lstmlm.generation.writer import Writer
    from lstmlm.text.vocab import Vocab

LENGTH, LENGTH_OF_A_TURN = 500, 200
# setting: (type, letter, help)
DRAW: dict[str, tuple[type, str, str]] = {
    "temperature": (float, "T", "0: always the most probable character (default: %(default)s)"),
    "top_k": (int, "K", "draw among the K most probable characters"),
    "top_p": (float, "P", "draw among the fewest, most probable characters that together have probability P"),
    "min_p": (float, "P", "draw among those at least P times as probable as the most probable one"),
    "repetition_penalty": (float, "R", "divide the odds of the characters that came last by R"),
    "penalty_window": (int, "N", "how many came last (default: %(default)s)"),
}
CONFLICTS = [("prompt", "prompt_file"), ("words", "prompt"), ("words", "prompt_file"), ("json", "jsonl")]
CONFLICTS += [("documents", other) for other in ("samples", "novelty", "interactive")]
CONFLICTS += [("interactive", other) for other in ("samples", "prompt_file", "json", "jsonl", "out", "novelty")]


def add_options(command: argparse.ArgumentParser) -> None:
    option = command.add_argument
    option("--prompt", help="what the text begins with (default: the beginning of a sentence of the run's text)")
    option(
        "--prompt-file",
        action=options.PathAction,
        metavar="FILE",
        help="the prompt as it stands in a file, or - for standard input",
    )
    what = "for what the vocabulary lacks: name it and stop, leave it out, read it as <unk> (default: error)"
    option("--oov", choices=("error", "skip", "unk"), default="error", help=what)
    option("--length", type=parse_length, metavar="N|inf", help=f"characters after the prompt (default: {LENGTH})")
    option("--stop", action="append", default=[], metavar="STRING", help="end the text after this; may be repeated")
    option("--seed", type=int, default=0, help="fixes the text (default: 0)")
    option("--samples", type=int, metavar="N", help="texts, drawn together, with seeds from SEED on (default: 1)")
    option("--documents", type=int, metavar="N", help="as --samples, for a model of documents: each up to its end")
    option("--label", metavar="X", help="of a model of labelled documents (data.label): the label (default: the first)")
    option("--guidance", type=float, metavar="W", default=0.0, help="more typical of the label: 1 or so (default: 0)")
    for name, (kind, letter, what) in DRAW.items():
        option(spell_option(name), type=kind, metavar=letter, default=getattr(SamplingSettings, name), help=what)
    option("--interactive", action="store_true", help="a conversation: each line of input is a turn (/help)")
    option("--color", action="store_true", help="shade characters by their surprisal, on a terminal")
    option("--novelty", action="store_true", help="then say how much stands word for word in the training text")
    option("--out", action=options.PathAction, metavar="FILE", help="write to a file")
    option("--jsonl", action="store_true", help="print a JSON object on a line for each sample")
    options.add_checkpoint(command)
    option("words", nargs="*", metavar="PROMPT", help="the prompt, for --prompt left out")
    options.add_weights(command)
    options.add_backend(command)
    options.add_small_weights(command, "write faster, but another text,")
    options.add_json(command)


def parse_length(given: str) -> float:
    """A number of characters, or math.inf for `inf`."""
    try:
        return math.inf if given == "inf" else int(given)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!a} is neither a number nor inf") from None


def check_options(args: argparse.Namespace) -> SamplingSettings:
    """The settings of the draw. BadInput for a value out of its bounds or for options that exclude each other.

    A note tells which settings have no effect.
    """
    for first, second in CONFLICTS:
        if getattr(args, first) not in (None, False, []) and getattr(args, second) not in (None, False):
            spelt = "PROMPT" if first == "words" else spell_option(first)
            raise BadInput(f"{spelt}: cannot be had together with {spell_option(second)}: leave one out")
    if args.length is None:
        args.length = LENGTH_OF_A_TURN if args.interactive else LENGTH
    if args.length < 0:
        raise BadInput(f"--length: must be 0 or more, got {args.length}")
    if not 0 <= args.seed < 2**63:
        raise BadInput(f"--seed: must be 0 or more, got {args.seed}")
    if args.samples is not None and args.samples < 1:
        raise BadInput(f"--samples: must be 1 or more, got {args.samples}")
    options.check_small_weights(args)
    if args.documents is not None and args.documents < 1:
        raise BadInput(f"--documents: must be 1 or more, got {args.documents}")
    if "" in args.stop:
        raise BadInput("--stop: is empty: give what the text should end with")
    waits = [
        name for name in ("interactive", "json", "jsonl", "novelty", "samples", "documents") if getattr(args, name)
    ]
    if args.length == math.inf and waits and not args.stop:
        raise BadInput(
            f"--length: inf never ends, and {spell_option(waits[0])} waits for the end: give a number, or --stop"
        )
    settings = SamplingSettings(**{name: getattr(args, name) for name in DRAW}).check(spell_option)
    for name in settings.without_effect():
        print_note(f"{spell_option(name)} has no effect with these settings")
    return settings


@advise_on_memory("lower --samples")
def run(args: argparse.Namespace) -> None:
    settings = check_options(args)
    prompt, source = (" ".join(args.words), "PROMPT") if args.words else (args.prompt, "--prompt")
    if args.prompt_file is not None:
        in_file, source = options.read_bytes(args.prompt_file, "--prompt-file"), "--prompt-file"
    # A step is a few products with a vector: threads would only wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from lstmlm.checkpoints.arrays import load_trained_model
    from lstmlm.evaluation.given_text import read_given_bytes, read_typed_text
    from lstmlm.generation.writer import Writer
    from lstmlm.text.oov import check_text
    from lstmlm.text.vocab import ByteVocab

    path = options.find_chosen_weights(args.checkpoint, args.ema)
    trained = load_trained_model(path, args.ema)
    record, vocab = trained.record, trained.vocab
    args.stop = [read_typed_text(record, stop) for stop in args.stop]
    for stop in args.stop:
        check_text(vocab, stop, "--stop", suggest_quoting(stop) or "no text can end there")
        if hint := suggest_quoting(stop):
            print_note(f"--stop: {hint}")
    if settings.top_k is not None and settings.top_k >= len(vocab):
        print_note(f"--top-k {settings.top_k} keeps all characters: there are no more than {len(vocab)}")
    check_documents(vocab, args.documents, args.interactive)
    begin = choose_label(vocab, args.label)
    check_guidance(args.guidance, trained.config, args.backend)
    count = args.samples or args.documents or 1
    stepper = choose_stepper(trained, args.backend, args.weights, begin, args.guidance)
    writer = Writer(stepper, settings, [args.seed + k for k in range(count)], vocab.unk)
    check_prompt, as_bytes = make_prompt_check(record, vocab, args.oov), isinstance(vocab, ByteVocab)
    if args.prompt_file is not None:
        given = read_given_bytes(record, in_file, args.prompt_file, source)
        prompt = vocab.decode(vocab.encode(given)) if isinstance(given, bytes) else given
    if args.interactive:
        with open_output(None, as_bytes):
            run_conversation(args, writer, vocab, check_prompt, prompt)
        return
    prompt = choose_prompt(record, vocab) if prompt is None else check_prompt(prompt, source)
    index = index_training_text(path) if args.novelty else None
    samples = draw_samples(writer, vocab, prompt, args.length, tuple(args.stop), begin)
    with open_output(args.out, as_bytes) as out:
        if args.json or args.jsonl:
            told = asdict(settings) | {"length": args.length, "stop": tuple(args.stop), "backend": args.backend}
            told["weights"] = args.weights
            told |= {"label": args.label, "guidance": args.guidance} if vocab.labels else {}
            rows = [describe_sample(prompt, seed, list(pieces), index) | told for seed, pieces in samples]
            if args.json:
                rows = [rows[0] | ({"samples": rows} if len(rows) > 1 else {})]
            out.writelines(encode_json(row) + "\n" for row in rows)
        elif args.documents is not None:
            drawn = [list(pieces) for _, pieces in samples]
            texts = [prompt + "".join(piece for piece, _ in pieces) for pieces in drawn]
            ended = sum(len(pieces) < args.length or not pieces[-1][0] for pieces in drawn)
            write_documents(record, texts, ended, make_printer(out, False))
        else:
            write_samples(prompt, samples, out, make_printer(out, args.color), index)


def choose_stepper(trained: "TrainedModel", backend: str | None, kind: str, begin: str, guidance: float) -> "Stepper":
    """The steps on the weights alone, without torch; with a backend named, prompts go through the model on it.

    `kind` is one of WEIGHTS, `begin` is the symbol before the document.
    """
    if backend is None:
        from lstmlm.generation.conditioning import make_stepper

        return make_stepper(trained.config, trained.weights, trained.vocab, begin, kind, guidance)
    import torch

    from lstmlm.generation.from_model import make_backend_stepper

    torch.set_num_threads(1)
    return make_backend_stepper(trained.config, trained.weights, trained.vocab, begin, backend)


def index_training_text(path: Path) -> "Index":
    """The index of the text that the model of a checkpoint was trained on, for --novelty."""
    from lstmlm.checkpoints.checkpoint import load_checkpoint
    from lstmlm.evaluation.novelty import build_index, read_training_text

    return build_index(read_training_text(load_checkpoint(path)))


def run_conversation(
    args: argparse.Namespace, writer: "Writer", vocab: "Vocab", check_prompt: Callable[..., str], prompt: str | None
) -> None:
    """A turn for the prompt, if there is one, and then one for each line of standard input."""
    from lstmlm.generation.conversation import Conversation

    conversation = Conversation(writer, vocab, args.length, tuple(args.stop), check_prompt)
    opening = [] if prompt is None else [conversation.continue_text(prompt)]
    turns = itertools.chain(opening, map(conversation.take_turn, read_typed_lines()))
    converse(turns, make_printer(sys.stdout, args.color))
