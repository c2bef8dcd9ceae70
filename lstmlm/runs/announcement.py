"""The start of a run's log: its text, its model, and how it is trained."""

import logging
from pathlib import Path

from lstmlm.evaluation.baselines import LIMIT, Baseline
from lstmlm.layers import fused_bf16
from lstmlm.model.shapes import count_params, estimate_training_memory
from lstmlm.runs.prepare import Prepared, make_model_config
from lstmlm.runs.start import Start
from lstmlm.settings.config import Config
from lstmlm.text.leak import list_doubts
from lstmlm.text.sorted_list import advise_on_sorted_list
from lstmlm.text.vocab import Vocab

SHOWN = 16  # characters that are new or lost

log = logging.getLogger("lstmlm")

LONG_RUN = 120.0  # seconds


def announce_run(prepared: Prepared, directory: Path) -> None:
    """Log where the run is, and what is trained on what."""
    log.info("directory: %s", directory)
    log_text(prepared)
    log_warnings(prepared)
    log_model(prepared)
    if prepared.start is not None:
        log_start(prepared.start)


def log_text(prepared: Prepared) -> None:
    corpus = prepared.corpus
    name = Path(corpus.origin.path).name
    for note in [*corpus.notes, *note_control_characters(corpus.vocab)]:
        log.info("%s: %s", name, note)
    unit = "bytes" if prepared.config.data.vocab == "byte" else "characters"
    log.info("text: %s, %s %s, vocabulary %s", name, f"{corpus.num_chars:,}", unit, len(corpus.vocab))
    sizes = ", ".join(f"{which} {corpus.split.size(which):,}" for which in corpus.ids)
    log.info("split %s: %s", corpus.split.name, sizes)
    log.debug("hash of val: %s", corpus.hashes["val"])


def log_warnings(prepared: Prepared) -> None:
    """Unknown characters, doubtful held-out parts, many one-hot inputs, a batch that is not filled."""
    config, corpus = prepared.config, prepared.corpus
    for which in ("val", "test"):
        if unknown := corpus.count_unknown(which):
            log.info("warning: %s has %d characters that train lacks; they are scored as <unk>", which, unknown)
    if advice := advise_on_sorted_list(corpus):
        log.warning("warning: %s", advice)
    for doubt in list_doubts(corpus):
        log.warning("warning: %s", doubt)
    if len(corpus.vocab) > 1000 and config.model.embedding_dim is None:
        log.info("warning: %s symbols as one-hot inputs: consider model.embedding_dim=64", f"{len(corpus.vocab):,}")
    if prepared.batch_size < config.data.batch_size:
        log.info(
            "data.batch_size: lowered from %d to %d: the training text fills no more lanes of %d steps",
            *(config.data.batch_size, prepared.batch_size, config.data.num_steps),
        )


def log_model(prepared: Prepared) -> None:
    config, corpus = prepared.config, prepared.corpus
    model_config = make_model_config(config, corpus.vocab)
    lanes_at_once = prepared.batch_size // config.train.micro_batches
    params = count_params(model_config)
    memory = estimate_training_memory(model_config, lanes_at_once, config.data.num_steps)
    log.info(
        "model: %s %s, %d x %d hidden units, %s parameters, %.2g characters of train for each, about %s MB",
        *(config.backend, config.model.cell.upper(), config.model.num_layers, config.model.num_hiddens),
        *(f"{params:,}", corpus.split.size("train") / params, f"{memory / 1e6:,.0f}"),
    )


def log_start(start: Start) -> None:
    """Log where the weights come from, and which characters they know."""
    origin, match = start.origin, start.match
    log.info(
        "weights: %s, step %s on %s, SHA-256 %s",
        *(origin["path"], f"{origin['step']:,}", origin["text"], origin["sha256"][:12]),
    )
    counted = {"taken over": match.taken_over, "new": match.new, "lost": match.lost}
    log.info("characters: %s", ", ".join(f"{len(chars):,} {what}" for what, chars in counted.items()))
    for what in ("new", "lost"):
        if chars := counted[what]:
            more = f" and {len(chars) - SHOWN:,} more" if len(chars) > SHOWN else ""
            log.info("%s: %s%s", what, " ".join(map(repr, chars[:SHOWN])), more)
    if len(match.new) > len(match.taken_over):
        log.warning("warning: the weights know fewer than half of the characters: a new model may learn as fast")


def announce_training(prepared: Prepared, steps: int | None) -> None:
    """Log how the model is trained. `steps` is None where only the time is limited."""
    config, device = prepared.config, prepared.device.type
    train, threads = config.train, int(config.threads)
    log.info(
        "training: %s steps of %d x %d characters, %s at %g, seed %d, on %s with %d thread%s",
        *("" if steps is None else f"{steps:,}", prepared.batch_size, config.data.num_steps),
        *(train.optimizer, train.lr, config.seed, device),
        *(threads, "s" * (threads > 1)),
    )
    for note in list_precision_notes(train.precision, config.backend, device):
        log.info("%s", note)


def announce_threads(threads: int, times: dict[int, float], hopeless: list[int]) -> None:
    """Log what threads=auto chose. `times` are the seconds of a step by thread count; `hopeless` counts took longer."""
    taken = [f"{1000 * seconds:,.1f} ms with {count}" for count, seconds in times.items()]
    taken += [f"far more with {count}" for count in hopeless]
    log.info("threads: %d, a step takes %s; for the same bits again: threads=%d", threads, ", ".join(taken), threads)


def announce_baseline(baseline: Baseline, train_chars: int, val_chars: int) -> None:
    log.info(
        "the best n-gram: %s, %.3f nats, perplexity %.3f, over %s characters of val",
        *(baseline.name, baseline.nats_per_char, baseline.perplexity, f"{val_chars:,}"),
    )
    log.debug("it was counted on %s characters of train", f"{min(train_chars, LIMIT):,}")


def list_precision_notes(precision: str, backend: str, device: str) -> list[str]:
    """How bfloat16 or float16 is computed, and where it gains nothing: on a CPU without matrix tiles."""
    if precision == "fp16":
        return ["train.precision=fp16: the loss is scaled, and a step whose gradient overflows is skipped"]
    if precision != "bf16":
        return []
    if backend != "fused":
        slower = device == "cpu" and not fused_bf16.has_tile_flags()
        return ["warning: train.precision=bf16 is slower than float32 on a CPU without matrix tiles (AMX)"] * slower
    how = fused_bf16.explain_way() if device == "cpu" else "backend=fused keeps its recurrence in float32"
    return [f"train.precision=bf16: {how}"]


def announce_tiles(config: Config, device: str, seconds: float) -> None:
    """Log what a long run in float32 would gain from the processor's matrix tiles (the gain of a prototype)."""
    suits = config.train.precision == "float32" and config.backend == "fused" and device == "cpu"
    if suits and seconds >= LONG_RUN and fused_bf16.has_tile_flags():
        log.info("matrix tiles (AMX): train.precision=bf16 is expected to train 2 to 3 times as fast on this processor")


def note_control_characters(vocab: Vocab) -> list[str]:
    """A note if the training part has control characters, as a file that is not text has, or one read in another
    encoding than its own.
    """
    counts = {ord(char): freq for char, freq in vocab.token_freqs if len(char) == 1}
    low = sum(freq for code, freq in counts.items() if (code < 32 and code not in b"\t\n\f") or code == 127)
    high = sum(freq for code, freq in counts.items() if 0x80 <= code < 0xA0)
    notes = [f"warning: train has {low:,} control characters: if it is no text, see data.vocab=byte"] if low else []
    if high:
        told = f"train has {high:,} characters from U+0080 to U+009F, which no text has: data.encoding may be wrong"
        notes.append(f"warning: {told}: a file that looks like latin-1 is cp1252 in most cases")
    return notes
