"""What a run says of itself at its start."""

import logging
import math
from pathlib import Path

from lstmlm.evaluation.baselines import LIMIT, Baseline
from lstmlm.model.shapes import count_params, estimate_training_memory
from lstmlm.runs.prepare import Prepared, make_model_config
from lstmlm.text.vocab import Vocab

log = logging.getLogger("lstmlm")


def announce(prepared: Prepared, steps: int | None, seconds_per_step: float, directory: Path) -> None:
    config, corpus = prepared.config, prepared.corpus
    name, unit = Path(corpus.origin.path).name, "bytes" if config.data.vocab == "byte" else "characters"
    for note in [*corpus.notes, *note_control_characters(corpus.vocab)]:
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
    arguments = make_model_config(config, len(corpus.vocab))
    lanes_at_once = prepared.batch_size // config.train.micro_batches
    params, memory = count_params(arguments), estimate_training_memory(arguments, lanes_at_once, config.data.num_steps)
    log.info(
        "model: %s %s, %d x %d hidden units, %s parameters, %.2g characters of training text for each, about %s MB",
        *(config.backend, config.model.cell.upper(), config.model.num_layers, config.model.num_hiddens),
        *(f"{params:,}", corpus.split.size("train") / params, f"{memory / 1e6:,.0f}"),
    )
    log.info(
        "training: %s steps of %d x %d characters, %s at %g, seed %d, on %s with %d thread%s: %s",
        *("" if steps is None else f"{steps:,}", prepared.batch_size, config.data.num_steps),
        *(config.train.optimizer, config.train.lr, config.seed, prepared.device.type),
        *(
            config.threads,
            "s" * (config.threads > 1),
            format_expected_time(steps, seconds_per_step, config.train.max_seconds),
        ),
    )
    for note in list_precision_notes(config.train.precision, config.backend, prepared.device.type):
        log.info("%s", note)
    log.info("directory: %s", directory)


def announce_threads(threads: int, times: dict[int, float], hopeless: list[int]) -> None:
    """What threads=auto chose, of which seconds a step by number of threads, and how to have the same bits again."""
    taken = [f"{1000 * seconds:,.1f} ms with {count}" for count, seconds in times.items()]
    taken += [f"far more with {count}" for count in hopeless]
    log.info("threads: %d, a step takes %s; for the same bits again: threads=%d", threads, ", ".join(taken), threads)


def announce_baseline(baseline: Baseline, train_chars: int, val_chars: int) -> None:
    log.info(
        "the best n-gram: %s, perplexity %.3f, %.4f nats over %s characters of val, counted on %s of train",
        *(baseline.name, baseline.perplexity, baseline.nats_per_char, f"{val_chars:,}", f"{min(train_chars, LIMIT):,}"),
    )


def format_expected_time(steps: int | None, seconds_per_step: float, max_seconds: float | None) -> str:
    """How long the run will take, evaluations aside."""
    limits = [steps * seconds_per_step] if steps is not None else []
    return f"{format_duration(min([*limits, max_seconds or float('inf')]))}, evaluations aside"


def list_precision_notes(precision: str, backend: str, device: str) -> list[str]:
    """Where bfloat16 does little or harm (measured: 1.0 to 2.1 times the time of float32 on a CPU)."""
    if precision != "bf16":
        return []
    notes = ["warning: train.precision=bf16 is slower than float32 on a CPU: it is for a GPU"] * (device == "cpu")
    return notes + ["train.precision=bf16: backend=fused keeps its recurrence in float32"] * (backend == "fused")


def note_control_characters(vocab: Vocab) -> list[str]:
    """A note on what is hardly text, in the training part."""
    count = sum(freq for char, freq in vocab.token_freqs if len(char) == 1 and ord(char) < 32 and char not in "\t\n\f")
    return [f"warning: train has {count:,} control characters: if it is no text, see data.vocab=byte"] if count else []


def format_duration(seconds: float) -> str:
    """'about 2 min 20 s': as exact as a guess deserves."""
    exact_to = next(step for below, step in ((9.5, 1), (57.5, 5), (595, 10), (math.inf, 60)) if seconds < below)
    whole = max(1, exact_to * round(seconds / exact_to))
    parts = {"h": whole // 3600, "min": whole // 60 % 60, "s": whole % 60}
    return "about " + " ".join(f"{count} {unit}" for unit, count in parts.items() if count)
