"""What a run says of itself at its start and at its end."""

import logging
import shlex
from pathlib import Path

from lstmlm.evaluation.novelty import build_index
from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import collect_units, format_units
from lstmlm.runs.prepare import Prepared
from lstmlm.runs.verdict import Verdict
from lstmlm.training.tracking import shorten_to_line

log = logging.getLogger("lstmlm")

INDEXED = 4_000_000  # characters: what is indexed in a few seconds


def log_report(
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
            units = format_units(collect_units(score.nats_per_char, corpus.bytes_per_char(which)))
            log.info(
                "%-4s %s, over %s characters (split %s, hash %s)",
                *(which, units, f"{score.num_chars:,}"),
                *(corpus.split.name, corpus.hashes[which][:12]),
            )
    others = [] if last_is_best else [("last weights", "val_last")]
    if "val_ema" in scores:
        others.append((f"average of the weights (train.ema={prepared.config.train.ema:g})", "val_ema"))
    for weights, name in others:
        units = format_units(collect_units(scores[name].nats_per_char, corpus.bytes_per_char("val")))
        log.info("%s, step %d: val %s", weights, figures["step"], units)
    log.info("sample: %s", shorten_to_line(sample))
    if corpus.split.size("train") <= INDEXED:
        for line in build_index(corpus.vocab.decode(corpus.ids["train"])).measure(sample).format_lines():
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
