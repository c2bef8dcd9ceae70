"""The doors: `python train.py` through Hydra, `python -m lstmlm COMMAND` through argparse.

One place turns what went wrong into one line on stderr and an exit code.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from lstmlm import __version__
from lstmlm.errors import BadInput, EnvironmentFault, LstmlmError, Stopped
from lstmlm.shipped import shipped


def exit_code_of(job: Callable[[], None]) -> int:
    """Run a job; what it raises becomes one line on stderr and an exit code (0 if nothing)."""
    try:
        job()
    except BrokenPipeError:
        # The reader of our text has gone (`| head`): end quietly, without a complaint at shutdown either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return complain(Stopped("stopped", 130))
    except LstmlmError as error:
        return complain(error)
    except MemoryError:
        return complain(EnvironmentFault("out of memory: lower data.batch_size or model.num_hiddens"))
    except OSError as error:
        return complain(EnvironmentFault(f"{error.filename or 'system'}: {error.strerror or error}"))
    except Exception as error:
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            return complain(EnvironmentFault("out of memory: lower data.batch_size or model.num_hiddens"))
        if SHOW_TRACEBACKS:
            raise
        print(f"error: a bug in lstmlm: {first_line(error)}: HYDRA_FULL_ERROR=1 shows where", file=sys.stderr)
        return 1
    return 0


def complain(error: LstmlmError) -> int:
    print(f"error: {error}" if not isinstance(error, Stopped) else str(error), file=sys.stderr)
    return error.exit_code


def show_any_character() -> None:
    """A terminal that lacks a character gets its escape, not an exception."""
    for out in (sys.stdout, sys.stderr):
        out.reconfigure(errors="backslashreplace")


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


# Train, through Hydra

SHOW_TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"
FREE_TEXT = ("data.path", "sample.prompt", "hydra.run.dir", "hydra.sweep.dir")


def train(argv: list[str]) -> int:
    """Compose the settings from conf/ and the overrides in `argv`, train, return the exit code.

    In a sweep every job runs, whatever becomes of the others, and the worst code is returned.
    """
    import hydra

    from lstmlm.config import register_schema

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the line is ours
    if sys.version_info >= (3, 14):  # Hydra 1.3 gives argparse a help that is not a str (hydra#3121)
        argparse.ArgumentParser._check_help = lambda self, action: None
    argparse.ArgumentParser.error = Parser.error  # of Hydra's parser too: one line, not its usage
    register_schema()
    show_any_character()
    codes = [0]

    @hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
    def job(composed) -> None:
        codes.append(exit_code_of(lambda: train_job(composed)))
        if codes[-1] in (130, 143):
            sys.exit(codes[-1])  # a signal ends a sweep; anything else lets it go on

    def compose_and_run() -> None:
        try:
            job()
        except Exception as error:
            raise user_error_of(error) from error

    # Argparse takes overrides in one stretch, so the one flag that people put among them goes first
    sweep = [word for word in argv if word in ("-m", "--multirun")]
    sys.argv[1:] = sweep[:1] + quoted([word for word in argv if word not in sweep], bool(sweep))
    codes.append(exit_code_of(compose_and_run))
    return max(codes)


def train_job(composed) -> None:
    """One run, in the directory that Hydra made for it."""
    from hydra.core.hydra_config import HydraConfig

    from lstmlm.config import parse, to_yaml

    settings = HydraConfig.get()
    chosen = Path(settings.runtime.output_dir)
    if chosen.is_relative_to(Path.cwd()):
        chosen = chosen.relative_to(Path.cwd())  # as the user would type it
    named = any(override.startswith("hydra.run.dir=") for override in settings.overrides.hydra)
    try:
        config = parse(composed)
        from lstmlm.run import execute, prepare  # torch: after what needs no torch was checked
        from lstmlm.rundir import claimed

        prepared = prepare(config)
    except BaseException:
        remove_if_empty(chosen)
        raise
    with claimed(chosen, named) as directory:
        (directory / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        execute(prepared, directory)


def remove_if_empty(directory: Path) -> None:
    with contextlib.suppress(OSError):
        directory.rmdir()


def quoted(argv: list[str], sweep: bool) -> list[str]:
    """The overrides, free text quoted, because Hydra's grammar stumbles over it's.txt, a,b.txt or foo(1).txt.

    In a sweep a comma lists choices, so there only the name of something that exists is quoted.
    """
    words = []
    for word in argv:
        key, equals, value = word.partition("=")
        taken_as_typed = value[:1] in ("'", '"') or value in ("", "null") or "${" in value
        if key.lstrip("+") in FREE_TEXT and not taken_as_typed and (not sweep or Path(value).exists()):
            escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
            word = f"{key}{equals}'{escaped}'"
        words.append(word)
    return words


def user_error_of(error: Exception) -> Exception:
    """What Hydra says in many lines, in one of ours; anything else as it is."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    from lstmlm.config import unknown_key

    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return error
    text = f"{error}\n{error.__cause__}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return BadInput(f"{group}={name}: no such option: choose one of {', '.join(error.options)}")
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        hint = f"\"{key}='{value}'\"" if equals else f"{key}=VALUE"
        return BadInput(f"{error.override}: cannot be read as a setting: type {hint}")
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown_key(match[1])
    if match := re.search(r"(Value .*)\n\s*full_key: (\S+)", text):
        return BadInput(f"{match[2]}: {match[1][0].lower()}{match[1][1:]}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return BadInput(f"settings: {' '.join(lines[:2])}: python train.py --help lists them")


# Commands on checkpoints, through argparse


class Parser(argparse.ArgumentParser):
    """Argparse whose errors are ours: one line, exit code 2."""

    def error(self, message: str):
        raise BadInput(f"{self.prog}: {message}: {self.prog} --help lists the options")


def parser() -> Parser:
    root = Parser(prog="lstmlm", description="A character-level LSTM language model.")
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

    for command in (generate, evaluate):
        command.add_argument(
            "checkpoint", metavar="RUN_OR_CHECKPOINT", help="a run directory (its best weights) or a .safetensors file"
        )
        command.add_argument("--backend", choices=("scratch", "nn"), help="compute on this backend")
        command.add_argument("--json", action="store_true", help="print one JSON object")
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
    sys.stdout.write(options.prompt)
    for (char,) in chars:
        sys.stdout.write(char)
        sys.stdout.flush()
    if sys.stdout.isatty():
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
