"""What a run says of itself at its start and at its end."""

import logging
import shlex
from pathlib import Path

from lstmlm.estimate import in_words, num_params, training_memory
from lstmlm.evaluation import Score
from lstmlm.floors import LIMIT, Floor
from lstmlm.novelty import index_of
from lstmlm.prepare import Prepared, model_arguments
from lstmlm.tracking import one_line
from lstmlm.verdict import Verdict
from lstmlm.vocab import Vocab

log = logging.getLogger("lstmlm")

INDEXED = 4_000_000  # characters: what is indexed in a few seconds


def announce(prepared: Prepared, steps: int | None, seconds_per_step: float, directory: Path) -> None:
    config, corpus = prepared.config, prepared.corpus
    name, unit = Path(corpus.origin.path).name, "bytes" if config.data.vocab == "byte" else "characters"
    for note in [*corpus.notes, *control_characters(corpus.vocab)]:
        log.info("%s: %s", name, note)
    sizes = ", ".join(f"{which} {corpus.split.size(which):,}" for which in corpus.ids)
    log.info("text: %s, %s %s, vocabulary %s", name, f"{corpus.num_chars:,}", unit, len(corpus.vocab))
    log.info("split %s: %s; val hash %s", corpus.split.name, sizes, corpus.hashes["val"][:12])
    for which in ("val", "test"):
        if unknown := corpus.unknown(which):
            log.info("warning: %s has %d characters that train lacks; they are scored as <unk>", which, unknown)
    if len(corpus.vocab) > 1000 and config.model.embedding_dim is None:
        log.info("warning: %s symbols as one-hot inputs: consider model.embedding_dim=64", f"{len(corpus.vocab):,}")
    if prepared.batch_size < config.data.batch_size:
        log.info(
            "data.batch_size: lowered from %d to %d: the training text fills no more lanes of %d steps",
            *(config.data.batch_size, prepared.batch_size, config.data.num_steps),
        )
    arguments = model_arguments(config, len(corpus.vocab))
    lanes_at_once = prepared.batch_size // config.train.micro_batches
    params, memory = num_params(arguments), training_memory(arguments, lanes_at_once, config.data.num_steps)
    log.info(
        "model: %s %s, %d x %d hidden units, %s parameters, %.2g characters of training text for each, about %s MB",
        *(config.backend, config.model.cell.upper(), config.model.num_layers, config.model.num_hiddens),
        *(f"{params:,}", corpus.split.size("train") / params, f"{memory / 1e6:,.0f}"),
    )
    log.info(
        "training: %s steps of %d x %d characters, %s at %g, seed %d, on %s with %d thread%s: %s",
        *("" if steps is None else f"{steps:,}", prepared.batch_size, config.data.num_steps),
        *(config.train.optimizer, config.train.lr, config.seed, prepared.device.type),
        *(config.threads, "s" * (config.threads > 1), expected(steps, seconds_per_step, config.train.max_seconds)),
    )
    for note in precision_notes(config.train.precision, config.backend, prepared.device.type):
        log.info("%s", note)
    log.info("directory: %s", directory)


def announce_threads(threads: int, times: dict[int, float], hopeless: list[int]) -> None:
    """What threads=auto chose, of which seconds a step by number of threads, and how to have the same bits again."""
    taken = [f"{1000 * seconds:,.1f} ms with {count}" for count, seconds in times.items()]
    taken += [f"far more with {count}" for count in hopeless]
    log.info("threads: %d, a step takes %s; for the same bits again: threads=%d", threads, ", ".join(taken), threads)


def announce_floor(floor: Floor, train_chars: int, val_chars: int) -> None:
    log.info(
        "the best n-gram: %s, perplexity %.3f, %.4f nats over %s characters of val, counted on %s of train",
        *(floor.name, floor.perplexity, floor.nats_per_char, f"{val_chars:,}", f"{min(train_chars, LIMIT):,}"),
    )


def expected(steps: int | None, seconds_per_step: float, max_seconds: float | None) -> str:
    """How long the run will take, evaluations aside."""
    limits = [steps * seconds_per_step] if steps is not None else []
    return f"{in_words(min([*limits, max_seconds or float('inf')]))}, evaluations aside"


def precision_notes(precision: str, backend: str, device: str) -> list[str]:
    """Where bfloat16 does little or harm (measured: 1.0 to 2.1 times the time of float32 on a CPU)."""
    if precision != "bf16":
        return []
    notes = ["warning: train.precision=bf16 is slower than float32 on a CPU: it is for a GPU"] * (device == "cpu")
    return notes + ["train.precision=bf16: backend=fused keeps its recurrence in float32"] * (backend == "fused")


def control_characters(vocab: Vocab) -> list[str]:
    """A note on what is hardly text, in the training part."""
    count = sum(freq for char, freq in vocab.token_freqs if len(char) == 1 and ord(char) < 32 and char not in "\t\n\f")
    return [f"warning: train has {count:,} control characters: if it is no text, see data.vocab=byte"] if count else []


def in_all_units(score: Score, bytes_per_char: float) -> str:
    return (
        f"perplexity {score.perplexity:.3f}, {score.bits_per_char:.3f} bits per character, "
        f"{score.bits_per_char / bytes_per_char:.3f} per byte, {score.nats_per_char:.4f} nats"
    )


def report(
    prepared: Prepared, scores: dict[str, Score], figures: dict, sample: str, judged: Verdict, directory: Path
) -> None:
    """The end of the log: the figures, with the split that they are of, a verdict, and the next commands to type.

    `scores` are those of outcome.py, `sample` is what the best weights write, without the prompt.
    """
    corpus = prepared.corpus
    log.info("")
    last_is_best = figures["best_step"] == figures["step"]
    remark = ", the last ones" if last_is_best else ""
    log.info("best weights: step %d, epoch %.1f%s", figures["best_step"], figures["best_epoch"], remark)
    for which in ("val", "test"):
        if score := scores.get(f"{which}_best"):
            log.info(
                "%-4s %s, over %s characters (split %s, hash %s)",
                *(which, in_all_units(score, corpus.bytes_per_char(which)), f"{score.num_chars:,}"),
                *(corpus.split.name, corpus.hashes[which][:12]),
            )
    others = [] if last_is_best else [("last weights", "val_last")]
    if "val_ema" in scores:
        others.append((f"average of the weights (train.ema={prepared.config.train.ema:g})", "val_ema"))
    for weights, name in others:
        words = in_all_units(scores[name], corpus.bytes_per_char("val"))
        log.info("%s, step %d: val %s", weights, figures["step"], words)
    log.info("sample: %s", one_line(sample))
    if corpus.split.size("train") <= INDEXED:
        for line in index_of(corpus.vocab.decode(corpus.ids["train"])).novelty(sample).account():
            log.info("%s", line)
    else:
        log.info("whether it is copied from the training text: lstmlm generate --novelty takes the time to look")
    log.info("time: %.0f s", figures["seconds"])
    log.info(
        "perplexity %.1f (val), %.1f chars/sec on %s",
        *(scores["val_best"].perplexity, figures["chars_per_s"], prepared.device.type),
    )
    log.info("")
    log.info("verdict: %s", judged.sentence)
    log.info("to try:  %s", judged.command)
    log.info("next:    python -m lstmlm generate %s --length 500", shlex.quote(str(directory)))
    log.info("         tensorboard --logdir %s", shlex.quote(str(directory.parent)))
