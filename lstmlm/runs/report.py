"""The end of a run on the screen: a box with its figures, a sample, a verdict, and the commands to type next."""

import logging
from pathlib import Path
from typing import Any

from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.novelty import Novelty, build_index
from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import collect_units, format_units
from lstmlm.runs.advice import Advice
from lstmlm.runs.prepare import Prepared
from lstmlm.runs.verdict import Finding
from lstmlm.system.box import draw_box
from lstmlm.system.columns import measure_reading_width, measure_width
from lstmlm.system.duration import format_duration
from lstmlm.system.escape import escape_controls
from lstmlm.system.program import name_command
from lstmlm.system.shell_words import break_command
from lstmlm.system.table import format_table
from lstmlm.text.corpus import Corpus
from lstmlm.training.progress import format_sample

log = logging.getLogger("lstmlm")

INDEXED = 4_000_000  # characters of training text at most that are indexed for novelty: a few seconds
COPY_SHOWN = 40  # characters at most of a copied passage are shown


def log_report(
    prepared: Prepared,
    scores: dict[str, Score],
    figures: dict[str, Any],
    baseline: Baseline | None,
    sample: str,
    novelty: Novelty | None,
    judged: tuple[Finding, Advice],
    directory: Path,
) -> None:
    """Log the end of a run: `scores` and `figures` are those of final_scores.py.

    `sample` is what the best weights write, prompt included; it is empty where none is asked for. `novelty` is what of
    it stands in the training text, None where that is too long to look.
    """
    corpus, (finding, advice) = prepared.corpus, judged
    log_hashes(scores, corpus)
    log.info("")
    result = [*format_scores(scores, baseline, corpus), "", *format_run(figures, prepared)]
    for line in draw_box(result, measure_reading_width()):
        log.info("%s", line)
    if sample:
        log.info("a sample of it, at temperature %g:", prepared.config.sample.temperature)
        for line in format_sample(sample, measure_reading_width()):
            log.info("%s", line)
        log_novelty(novelty)
    log.info("")
    log.info("verdict: %s", finding.sentence)
    if advice.command:
        log_command("to try:", advice.command)
        log.info("         (%s)", advice.sentence)
    log.info("run:     %s", directory)
    samples = ["--length", "500"] if prepared.config.data.documents is None else ["--documents", "20"]
    log_command("next:", [*name_command("generate"), str(directory), *samples])
    log_command("", ["tensorboard", "--logdir", str(directory.parent)])


def log_hashes(scores: dict[str, Score], corpus: Corpus) -> None:
    """Every score with all its digits, and the hash of what it is of, in train.log alone."""
    for name, score in scores.items():
        which = name.partition("_")[0]
        units = format_units(collect_units(score.nats_per_char, corpus.bytes_per_char(which)))
        about = f"{score.num_chars:,} characters (split {corpus.split.name}, hash {corpus.hashes[which][:12]})"
        log.debug("%s: %s, over %s", name, units, about)


def format_scores(scores: dict[str, Score], baseline: Baseline | None, corpus: Corpus) -> list[str]:
    """A table: the best weights on each held-out part, the last and the averaged ones where they are others, and the
    best n-gram.
    """
    names = {"val_best": "val", "test_best": "test", "val_last": "val, last weights", "val_ema": "val, average"}
    rows: list[tuple[str, ...]] = [("", "perplexity", "nats/char", "bits/char", "bits/byte")]
    for name, shown in names.items():
        if name in scores and (name != "val_last" or scores[name] != scores["val_best"]):
            bytes_per_char = corpus.bytes_per_char(name.partition("_")[0])
            rows.append(format_row(shown, scores[name].nats_per_char, bytes_per_char))
    if baseline is not None:
        rows.append(format_row(f"{baseline.name}, val", baseline.nats_per_char, corpus.bytes_per_char("val")))
    return format_table(rows, right=range(1, 5))


def format_row(name: str, nats: float, bytes_per_char: float) -> tuple[str, ...]:
    """A score in each unit; bits per byte are left out where they are bits per character."""
    units = collect_units(nats, bytes_per_char)
    per_byte = "" if bytes_per_char == 1 else f"{units['bits_per_byte']:.3f}"
    return name, f"{units['perplexity']:.3f}", f"{nats:.4f}", f"{units['bits_per_char']:.3f}", per_byte


def format_run(figures: dict[str, Any], prepared: Prepared) -> list[str]:
    """Which weights these are, and what they took."""
    last = "the last" if figures["best_step"] == figures["step"] else f"of {figures['step']:,}"
    return [
        f"best weights: step {figures['best_step']:,}, {last}, epoch {figures['best_epoch']:.1f}",
        f"{format_duration(figures['seconds'])}, {figures['chars_per_s']:,.0f} characters per second of training "
        f"on {prepared.device.type}",
    ]


def measure_novelty(sample: str, corpus: Corpus) -> Novelty | None:
    """How much of the sample stands in the training text; None without a sample, or if the text is too long to look."""
    if not sample or corpus.split.size("train") > INDEXED:
        return None
    return build_index(corpus.vocab.decode(corpus.ids["train"])).measure(sample)


def log_novelty(novelty: Novelty | None) -> None:
    if novelty is None:
        log.info("whether it is copied from the training text: lstmlm generate --novelty takes the time to look")
        return
    run = novelty.run if len(novelty.run) <= COPY_SHOWN else novelty.run[:COPY_SHOWN] + "..."
    if novelty.chars and novelty.longest == novelty.chars:
        log.info("copied from the training text: all %d characters", novelty.chars)
    else:
        log.info("copied from the training text: nothing longer than %d characters", novelty.longest)
    log.debug("the longest copy, from character %d: %s", novelty.source, escape_controls(repr(run)))
    for line in novelty.format_lines():
        log.debug("%s", line)


def log_command(name: str, words: list[str]) -> None:
    """A command under its name, in lines that can be typed as they are."""
    first, *others = break_command(words, measure_width() - 9)
    log.info("%-8s %s", name, first)
    for line in others:
        log.info("%9s%s", "", line)
