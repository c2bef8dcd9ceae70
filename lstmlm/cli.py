"""`python -m lstmlm COMMAND`: what is done with a checkpoint."""

import argparse
import itertools
import json
import sys
from pathlib import Path

from lstmlm import __version__
from lstmlm.compose import refuse, train
from lstmlm.config import CHOICES
from lstmlm.errors import BadInput, EnvironmentFault, exit_code_of, show_any_character
from lstmlm.terminal import harmless


def parser() -> argparse.ArgumentParser:
    argparse.ArgumentParser.error = refuse
    root = argparse.ArgumentParser(prog="lstmlm", description="A character-level LSTM language model.")
    root.add_argument("--version", action="version", version=f"lstmlm {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("train", help="train a model: the same as python train.py; takes its overrides", add_help=False)

    generate = commands.add_parser("generate", help="write text from a checkpoint")
    generate.add_argument("--prompt", default="", help="what the text begins with (default: nothing)")
    generate.add_argument("--length", type=int, default=500, help="characters after the prompt (default: 500)")
    generate.add_argument(
        "--temperature", type=float, default=0.8, help="0: always the most probable character (default: 0.8)"
    )
    generate.add_argument("--seed", type=int, default=0, help="fixes the text (default: 0)")
    generate.set_defaults(run=generate_command)

    evaluate = commands.add_parser("evaluate", help="score a checkpoint on held-out text")
    evaluate.add_argument("--split", choices=("train", "val", "test"), help="part of the text (default: val)")
    evaluate.add_argument(
        "--file", help="score this text instead of the run's own: whole, or the part that --split names"
    )
    evaluate.set_defaults(run=evaluate_command)

    check = commands.add_parser("check", help="is every backend of every cell the same function on this machine?")
    check.add_argument("--device", choices=CHOICES["device"], default="auto", help="where to compute (default: auto)")
    check.set_defaults(run=check_command)

    trace = commands.add_parser("trace", help="follow the gates: of a worked example, or of a trained model")
    trace.add_argument("--text", help="what the model reads (default: The time keeper)")
    trace.add_argument("--layer", type=int, default=0, help="whose gates, counted from 0 (default: 0)")
    trace.add_argument("--png", metavar="FILE", help="draw gates and cell state as heat maps")
    trace.set_defaults(run=trace_command)

    a_checkpoint = {"metavar": "RUN_OR_CHECKPOINT", "help": "a run directory (its best weights) or a .safetensors file"}
    trace.add_argument("checkpoint", nargs="?", **a_checkpoint)
    for command in (generate, evaluate):
        command.add_argument("checkpoint", **a_checkpoint)
    for command in (generate, evaluate, trace):
        command.add_argument("--backend", choices=CHOICES["backend"], help="compute on this backend")
    for command in (generate, evaluate, check, trace):
        command.add_argument("--json", action="store_true", help="print JSON")
    return root


def main(argv: list[str] | None = None) -> int:
    """`lstmlm COMMAND ...`; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"]:
        return train(argv[1:])
    show_any_character()

    def job() -> None:
        options = parser().parse_args(argv)
        options.run(options)
        sys.stdout.flush()

    return exit_code_of(job)


def generate_command(options: argparse.Namespace) -> None:
    if options.length < 0:
        raise BadInput(f"--length: must be 0 or more, got {options.length}")
    if not 0 <= options.seed < 2**63:
        raise BadInput(f"--seed: must be 0 or more, got {options.seed}")
    from lstmlm import checkpoint
    from lstmlm.sampling import check_temperature, check_text, stream

    check_temperature(options.temperature, "--temperature")
    model, vocab = checkpoint.load(checkpoint.find(options.checkpoint)).build(options.backend)
    check_text(vocab, options.prompt, "--prompt")
    chars = stream(model, vocab, options.prompt, options.length, options.temperature, [options.seed])
    if options.json:
        text = options.prompt + "".join(char for (char,) in chars)
        settings = {"prompt": options.prompt, "seed": options.seed, "temperature": options.temperature}
        print(json.dumps({"text": text, **settings, "length": options.length, "backend": model.backend}))
        return
    on_terminal = sys.stdout.isatty()
    for piece in itertools.chain([options.prompt], (char for (char,) in chars)):
        sys.stdout.write(harmless(piece) if on_terminal else piece)
        sys.stdout.flush()
    if on_terminal:
        sys.stdout.write("\n")


def evaluate_command(options: argparse.Namespace) -> None:
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


def check_command(options: argparse.Namespace) -> None:
    from lstmlm.check import check, table
    from lstmlm.prepare import pick_device

    rows = list(check(pick_device(options.device)))
    print(json.dumps(rows) if options.json else table(rows))
    if failed := [row for row in rows if not row["passed"]]:
        first = f"{failed[0]['cell']} on {failed[0]['backend']} in {failed[0]['dtype']}"
        raise EnvironmentFault(f"check: {len(failed)} of {len(rows)} rows differ by more than rounding: {first} first")


def trace_command(options: argparse.Namespace) -> None:
    from lstmlm import checkpoint, trace

    if options.checkpoint is None:
        if options.text or options.png:
            raise BadInput("trace: --text and --png follow a trained model: give RUN_OR_CHECKPOINT")
        columns = trace.example(options.backend or "scratch")
        as_lists = {name: values[:, 0].tolist() for name, values in columns.items()}
        print(
            json.dumps({"words": list(trace.EXAMPLE_WORDS), **as_lists})
            if options.json
            else trace.example_account(columns)
        )
        return

    import torch

    from lstmlm.sampling import check_text

    model, vocab = checkpoint.load(checkpoint.find(options.checkpoint)).build(options.backend)
    text = check_text(vocab, "The time keeper" if options.text is None else options.text, "--text")
    if not text:
        raise BadInput("--text: is empty: give a text of one character or more")
    followed = trace.trace(model, torch.from_numpy(vocab.encode(text)), text, options.layer)
    if options.png:
        trace.trace_picture(followed, Path(options.png))
    if options.json:
        as_lists = {name: values.tolist() for name, values in followed.columns.items()}
        print(json.dumps({"text": text, "layer": followed.layer, **as_lists}))
    else:
        print(trace.trace_table(followed))


def text_to_score(record: dict, split: str | None, file: str | None) -> tuple[str, str, str, str]:
    """(part, its text, the split's name, hash): of the run's own corpus, known by its hash, or of `file`."""
    from lstmlm.corpus import read_corpus, sha256, split_text

    data, settings = record["data"], record["config"]["data"]
    if file is not None:
        corpus = read_corpus("file", file, data["preprocess"])
        if split is None:
            return "file", corpus.text, Path(file).name, sha256(corpus.text)
        parts = split_text(corpus.text, settings["split"], settings["max_tokens"])
        return split, parts.part(corpus.text, split), parts.name, parts.hashes[split]
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


def entry_point() -> None:
    """The installed command `lstmlm`."""
    sys.exit(main())
