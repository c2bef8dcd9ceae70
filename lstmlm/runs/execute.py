"""The path of a run, from its checked settings to its report."""

import contextlib
import logging
import math
import time
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.distributed.ranks import ONE_PROCESS, Ranks
from lstmlm.evaluation.baselines import Baseline, compute_ngram_baselines, compute_unigram_nats, find_best_ngram
from lstmlm.evaluation.scoring import take_first
from lstmlm.runs.advice import Advice, advise
from lstmlm.runs.announcement import announce_baseline, announce_run, announce_tiles, announce_training
from lstmlm.runs.assemble import (
    assemble_tracker,
    assemble_trainer,
    describe_run,
    make_limits,
    make_streams,
    restore_trainer,
    to_arrays,
)
from lstmlm.runs.book_report import log_book_report
from lstmlm.runs.final_scores import collect_final_figures, score_final_weights
from lstmlm.runs.html_report import try_to_write_report
from lstmlm.runs.prepare import Prepared
from lstmlm.runs.report import log_report, measure_novelty
from lstmlm.runs.threads import choose_threads
from lstmlm.runs.time_estimate import announce_time, count_scored, estimate_time
from lstmlm.runs.verdict import Finding, collect_evidence, find_verdict
from lstmlm.settings.config import Config
from lstmlm.settings.hydra_yaml import to_words, to_yaml
from lstmlm.system.dotted import flatten
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import Diverged, EnvironmentFault, Stopped
from lstmlm.system.machine import keep_memory
from lstmlm.system.signals import StopRequest
from lstmlm.text.corpus import Corpus
from lstmlm.training import metrics
from lstmlm.training.loop_state import find_last_recorded_step
from lstmlm.training.projector import write_projector
from lstmlm.training.trainer import Trainer

log = logging.getLogger("lstmlm")

FINAL_SAMPLE = 400  # characters


def execute(
    prepared: Prepared,
    directory: Path,
    loaded: Checkpoint | None = None,
    typed: list[str] | None = None,
    ranks: Ranks = ONE_PROCESS,
) -> None:
    """Train in `directory`, which belongs to this run alone, score the final weights, and log a report.

    With a checkpoint of the same run, training continues from it. `typed` are the overrides that gave the settings of a
    new run, for the commands that the report proposes. `ranks` are the other processes of the run.
    """
    cpu_started = time.process_time()
    keep_memory()
    asked, streams = prepared.config, make_streams(prepared, ranks.share)
    announce_run(prepared, directory)
    prepared, speed = choose_threads(prepared, streams)
    ranks.announce(describe_run(prepared), prepared.device.type, prepared.config.rank_timeout)
    config, corpus, limits = prepared.config, prepared.corpus, make_limits(prepared.config)
    write_durably(directory / "config.yaml", to_yaml(config).encode())
    announce_training(prepared, limits.count_steps(streams.steps_per_epoch))
    val_pieces = take_first(corpus.pieces("val"), config.train.eval_chars)
    expected = estimate_time(prepared, limits, streams.steps_per_epoch, val_pieces, speed)
    announce_time(expected, prepared, count_scored(val_pieces))
    announce_tiles(config, prepared.device.type, expected.fitting)
    baseline = find_baseline(corpus, val_pieces) if config.train.baselines else None
    resumed_at = None if loaded is None else find_last_recorded_step(loaded)
    with contextlib.closing(assemble_tracker(prepared, streams, directory, expected.fitting, resumed_at)) as tracker:
        trainer = assemble_trainer(prepared, streams, val_pieces, baseline, tracker, directory, cpu_started, ranks)
        if loaded is not None:
            restore_trainer(trainer, loaded)
        fit(trainer)
        cpu_seconds = trainer.state.clock.cpu_seconds
        tracker.progress.close()
        book_figures = log_book_report(trainer, corpus) if config.train.book_report else {}
        best_weights = trainer.saver.load_best().weights
        scores = score_final_weights(trainer, best_weights, corpus)
        figures = book_figures | collect_final_figures(trainer, corpus, scores, cpu_seconds)
        changed = {word.partition("=")[0] for word in to_words(config)}
        tracker.track_end(trainer.name_end(), flatten(config), changed, figures)
    judged = judge(asked, typed, corpus, val_pieces, directory)
    trainer.learner.model.load_book_weights(best_weights)  # so that the sample below is theirs
    write_projector(directory, trainer.learner.model.W_hq, corpus.vocab)
    sample = write_final_sample(trainer)
    novelty = measure_novelty(sample[len(prepared.prompt) :], corpus)
    log_report(prepared, scores, figures, baseline, sample, novelty, judged, directory)
    try_to_write_report(directory, judged, prepared.prompt, sample, novelty)


def write_final_sample(trainer: Trainer) -> str:
    """A text from the model as it is, longer than those of the evaluations; empty if those are."""
    settings = trainer.evaluator.sample
    longer = replace(settings, length=max(settings.length, FINAL_SAMPLE))
    return longer.write(trainer.learner.model) if settings.length else ""


def find_baseline(corpus: Corpus, val_pieces: list[Tensor]) -> Baseline:
    """The best n-gram on the validation text, which is logged."""
    log.info("counting n-grams, to compare with ...")
    baseline = find_best_ngram(compute_ngram_baselines(to_arrays(corpus.pieces("train")), to_arrays(val_pieces)))
    announce_baseline(baseline, len(corpus.ids["train"]), count_scored(val_pieces))
    return baseline


def fit(trainer: Trainer) -> None:
    """Train until a limit is reached. Stopped or Diverged if the run ends before, which metrics.jsonl then says."""
    try:
        with StopRequest(hangup=trainer.ranks.share.count > 1) as stop:
            try:
                trainer.fit(stop)
            except KeyboardInterrupt:  # a second Ctrl-C
                raise Stopped(f"stopped at once: {trainer.saver.describe_newest_good()}", 130) from None
        if not math.isfinite(trainer.state.best["loss/val"]):
            raise Diverged("training diverged: no evaluation gave a finite validation loss: lower train.lr")
    except (Stopped, Diverged) as error:
        state: metrics.RunState = "stopped" if isinstance(error, Stopped) else "diverged"
        with contextlib.suppress(EnvironmentFault):  # the error to report is the one that ended the run
            metrics.append_state(trainer.tracker.metrics, state, trainer.state.step)
        raise


def judge(
    config: Config, typed: list[str] | None, corpus: Corpus, val_pieces: list[Tensor], directory: Path
) -> tuple[Finding, Advice]:
    """The verdict on the run and what to try next, with the settings as the user gave them."""
    unigram = compute_unigram_nats(to_arrays(corpus.pieces("train")), to_arrays(val_pieces), len(corpus.vocab))
    rows = metrics.read_rows(directory / metrics.NAME)
    evidence = collect_evidence(metrics.list_evaluations(rows), metrics.find_final(rows), unigram)
    finding = find_verdict(evidence)
    return finding, advise(finding, config, evidence.limit, typed)
