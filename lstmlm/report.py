"""What a run says of itself at its start and at its end."""

import logging
import shlex
from pathlib import Path

from lstmlm.evaluation import Score
from lstmlm.floors import LIMIT, Floor
from lstmlm.model import RNNModel
from lstmlm.prepare import Prepared

log = logging.getLogger("lstmlm")


def announce(prepared: Prepared, model: RNNModel, steps: int | None, directory: Path) -> None:
    config, corpus, split, ids = prepared.config, prepared.corpus, prepared.split, prepared.ids
    for note in corpus.notes:
        log.info("%s: %s", corpus.path.name, note)
    sizes = ", ".join(f"{which} {len(part):,}" for which, part in ids.items())
    log.info("text: %s, %s characters, vocabulary %s", corpus.path.name, f"{len(corpus.text):,}", len(prepared.vocab))
    log.info("split %s: %s; val hash %s", split.name, sizes, split.hashes["val"][:12])
    for which in ("val", "test"):
        if unknown := int((ids[which] == prepared.vocab.unk).sum()):
            log.info("warning: %s has %d characters that train lacks; they are scored as <unk>", which, unknown)
    if len(prepared.vocab) > 10_000:
        log.info("warning: %s symbols: consider model.embedding_dim=64", f"{len(prepared.vocab):,}")
    if prepared.batch_size < config.data.batch_size:
        log.info(
            "data.batch_size: lowered from %d to %d: the training text fills no more lanes of %d steps",
            *(config.data.batch_size, prepared.batch_size, config.data.num_steps),
        )
    log.info(
        "model: %s %s, %d x %d hidden units, %s parameters",
        *(config.backend, config.model.cell.upper(), config.model.num_layers, config.model.num_hiddens),
        f"{sum(param.numel() for param in model.trained().values()):,}",
    )
    log.info(
        "training: %s steps of %d x %d characters, %s at %g, seed %d, on %s with %d thread%s",
        *("" if steps is None else f"{steps:,}", prepared.batch_size, config.data.num_steps),
        *(config.train.optimizer, config.train.lr, config.seed, prepared.device.type),
        *(config.threads, "s" * (config.threads > 1)),
    )
    log.info("directory: %s", directory)


def announce_floor(floor: Floor, train_chars: int, val_chars: int) -> None:
    log.info(
        "the best n-gram: %s, perplexity %.3f, %.4f nats over %s characters of val, counted on %s of train",
        *(floor.name, floor.perplexity, floor.nats_per_char, f"{val_chars:,}", f"{min(train_chars, LIMIT):,}"),
    )


def report(prepared: Prepared, scores: dict[str, Score], figures: dict, directory: Path) -> None:
    """The end of the log: the figures, with the split that they are of, and the next two commands to type."""
    split = prepared.split
    log.info("")
    log.info("best weights: step %d, epoch %.1f", figures["best_step"], figures["best_epoch"])
    for which, score in scores.items():
        log.info(
            "%-4s perplexity %.3f, %.3f bits per character, %.4f nats, over %s characters (split %s, hash %s)",
            *(which, score.perplexity, score.bits_per_char, score.nats_per_char, f"{score.num_chars:,}"),
            *(split.name, split.hashes[which][:12]),
        )
    log.info("time: %.0f s", figures["seconds"])
    log.info(
        "perplexity %.1f (val), %.1f chars/sec on %s",
        *(scores["val"].perplexity, figures["chars_per_s"], prepared.device.type),
    )
    log.info("")
    log.info("next: python -m lstmlm generate %s --length 500", shlex.quote(str(directory)))
    log.info("      tensorboard --logdir %s", shlex.quote(str(directory.parent)))
