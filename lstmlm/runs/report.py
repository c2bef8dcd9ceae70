"""The end of a run's log: its figures, a verdict, and the commands to type next."""

import logging
from pathlib import Path
from typing import Any

from lstmlm.evaluation.novelty import build_index
from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import collect_units, format_units
from lstmlm.runs.prepare import Prepared
from lstmlm.runs.verdict import Verdict
from lstmlm.system.shell_words import quote_word
from lstmlm.text.corpus import Corpus
from lstmlm.training.tracking import shorten_to_line

log = logging.getLogger("lstmlm")

INDEXED = 4_000_000  # characters of training text at most that are indexed for novelty: a few seconds


def log_report(
    prepared: Prepared,
    scores: dict[str, Score],
    figures: dict[str, Any],
    sample: str,
    judged: Verdict,
    directory: Path,
) -> None:
    """Log the end of a run: `scores` and `figures` are those of final_scores.py.

    `sample` is what the best weights write after the prompt.
    """
    corpus = prepared.corpus
    log.info("")
    log_scores(scores, figures, corpus, prepared.config.train.ema)
    log.info("sample: %s", shorten_to_line(sample))
    log_novelty(sample, corpus)
    log.info("time: %.0f s", figures["seconds"])
    log.info(
        "perplexity %.1f (val), %.1f chars/sec on %s",
        *(scores["val_best"].perplexity, figures["chars_per_s"], prepared.device.type),
    )
    log.info("")
    log.info("verdict: %s", judged.sentence)
    log_next_commands(judged.command, directory)


def log_scores(scores: dict[str, Score], figures: dict[str, Any], corpus: Corpus, ema: float | None) -> None:
    """The best weights on each split, then the last and the averaged weights where they are others."""
    last_is_best = figures["best_step"] == figures["step"]
    remark = ", the last ones" if last_is_best else ""
    log.info("best weights: step %d, epoch %.1f%s", figures["best_step"], figures["best_epoch"], remark)
    for which in ("val", "test"):
        if score := scores.get(f"{which}_best"):
            units = format_units(collect_units(score.nats_per_char, corpus.bytes_per_char(which)))
            log.info(
                "%-4s %s, over %s characters (split %s, hash %s)",
                *(which, units, f"{score.num_chars:,}"),
                *(corpus.split.name, corpus.hashes[which][:12]),
            )
    others = [] if last_is_best else [("last weights", "val_last")]
    if "val_ema" in scores:
        others.append((f"average of the weights (train.ema={ema:g})", "val_ema"))
    for weights, name in others:
        units = format_units(collect_units(scores[name].nats_per_char, corpus.bytes_per_char("val")))
        log.info("%s, step %d: val %s", weights, figures["step"], units)


def log_novelty(sample: str, corpus: Corpus) -> None:
    """How much of the sample stands in the training text, if that is short enough to look."""
    if corpus.split.size("train") <= INDEXED:
        for line in build_index(corpus.vocab.decode(corpus.ids["train"])).measure(sample).format_lines():
            log.info("%s", line)
    else:
        log.info("whether it is copied from the training text: lstmlm generate --novelty takes the time to look")


def log_next_commands(to_try: str, directory: Path) -> None:
    log.info("to try:  %s", to_try)
    log.info("next:    python -m lstmlm generate %s --length 500", quote_word(str(directory)))
    log.info("         tensorboard --logdir %s", quote_word(str(directory.parent)))
