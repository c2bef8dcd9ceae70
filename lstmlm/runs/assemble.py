"""A run from its settings: text, vocabulary, streams, model and optimizer put together, trained and judged."""

import hashlib
import math
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.evaluation.baselines import Baseline, compute_ngram_baselines, compute_unigram_nats, find_best_ngram
from lstmlm.evaluation.scoring import take_first
from lstmlm.generation.writer import generate
from lstmlm.model.initialization import initialize
from lstmlm.model.rnn_model import RNNModel
from lstmlm.runs.announcement import announce, announce_baseline, announce_threads
from lstmlm.runs.book_report import log_book_report
from lstmlm.runs.final_scores import collect_final_figures, score_final_weights
from lstmlm.runs.prepare import Prepared, make_model_config
from lstmlm.runs.report import log_report
from lstmlm.runs.verdict import judge_run, read_evaluations
from lstmlm.settings.config import Config
from lstmlm.settings.hydra_yaml import to_yaml
from lstmlm.system.dotted import flatten
from lstmlm.system.durable import write_durably
from lstmlm.system.errors import BadInput, Diverged
from lstmlm.system.machine import count_cores, keep_memory
from lstmlm.system.signals import StopRequest
from lstmlm.text.batches import STREAMS, Streams
from lstmlm.text.corpus import Corpus
from lstmlm.training.loop_state import restore
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Intervals, Limits, Recipe
from lstmlm.training.thread_tuning import choose_fewest_threads, list_thread_counts, measure_step_times
from lstmlm.training.tracking import Tracker
from lstmlm.training.trainer import Trainer

_cpu_started = 0.0  # the CPU time of this process before the run: what the runs before it, in a sweep, took


def make_generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose: from one seed, and independent of those for the other purposes."""
    mixed = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(mixed[:8], "big") >> 1)


def execute(prepared: Prepared, directory: Path, loaded: Checkpoint | None = None) -> None:
    """Train in `directory`, which this run has to itself, judge the best weights, and say what came out.

    With a checkpoint of the same run, go on from there.
    """
    global _cpu_started
    keep_memory()
    asked, streams = prepared.config, make_streams(prepared)
    prepared, seconds = choose_threads(prepared, streams)
    config, corpus, vocab = prepared.config, prepared.corpus, prepared.corpus.vocab
    torch.set_num_threads(config.threads)
    write_durably(directory / "config.yaml", to_yaml(config).encode())
    model = build_model(config, len(vocab), prepared.device)
    train = config.train
    limits = make_limits(config)
    steps = limits.steps(streams.steps_per_epoch)
    announce(prepared, steps, seconds, directory)
    val_pieces = take_first(corpus.pieces("val"), train.eval_chars)
    baseline = find_baseline(corpus, val_pieces) if train.baselines else None

    def sample() -> str:
        return generate(model, vocab, prepared.prompt, config.sample.length, config.sample.temperature, config.seed)

    resumed_at = loaded.record["step"] if loaded else None
    tracker = Tracker(directory, steps, to_yaml(config), describe_validation(corpus), resumed_at)
    try:
        trainer = Trainer(
            model,
            build_optimizer(model, train.optimizer, train.lr, train.weight_decay),
            streams,
            val_pieces,
            recipe=make_recipe(config),
            intervals=Intervals(train.log_every, train.eval_every, train.save_every, train.save_minutes),
            limits=limits,
            data_generator=make_generator(config.seed, "data order"),
            tracker=tracker,
            directory=directory,
            record=describe_run(prepared),
            sample=sample,
            baseline=baseline,
            cpu_started=_cpu_started,
        )
        if loaded is not None:
            restore_run(trainer, loaded)
        with StopRequest() as stop:
            trainer.fit(stop)
        cpu_seconds = trainer.cpu_seconds
        tracker.bar.close()
        if not math.isfinite(trainer.best["loss/val"]):
            raise Diverged("training diverged: no evaluation gave a finite validation loss: lower train.lr")
        book = log_book_report(trainer, corpus) if train.book_report else {}
        scores = score_final_weights(trainer, corpus)
        figures = book | collect_final_figures(trainer, corpus, scores, cpu_seconds)
        tracker.final(flatten(config), figures)
    finally:
        tracker.close()
        _cpu_started = time.process_time()
    unigram = compute_unigram_nats(to_arrays(corpus.pieces("train")), to_arrays(val_pieces), len(vocab))
    judged = judge_run(read_evaluations(tracker.metrics), unigram, asked, str(directory))
    log_report(prepared, scores, figures, sample()[len(prepared.prompt) :], judged, directory)


def find_baseline(corpus: Corpus, val_pieces: list[Tensor]) -> Baseline:
    """The best n-gram on the validation text, announced."""
    baseline = find_best_ngram(compute_ngram_baselines(to_arrays(corpus.pieces("train")), to_arrays(val_pieces)))
    announce_baseline(baseline, len(corpus.ids["train"]), sum(len(piece) - 1 for piece in val_pieces))
    return baseline


def to_arrays(pieces: list[Tensor]) -> list[np.ndarray]:
    return [piece.numpy() for piece in pieces]


def describe_validation(corpus: Corpus) -> dict:
    """What every figure of the validation text is of."""
    return {
        "split": corpus.split.name,
        "split_hash": corpus.hashes["val"],
        "bytes_per_char": corpus.bytes_per_char("val"),
    }


def make_streams(prepared: Prepared) -> Streams:
    data = prepared.config.data
    return STREAMS[data.sampling](prepared.corpus.ids["train"], prepared.batch_size, data.num_steps, prepared.device)


def choose_threads(prepared: Prepared, streams: Streams) -> tuple[Prepared, float]:
    """The settings with a number of threads, measured and said where it was `auto`; the seconds of a step with it.

    Where the work is on another device than the CPU, `auto` is 1.
    """
    config = prepared.config
    thrown_away = build_model(config, len(prepared.corpus.vocab), prepared.device)
    X, Y = next(iter(streams.epoch(torch.Generator().manual_seed(0))))
    counts = [config.threads]
    if config.threads == "auto":
        counts = list_thread_counts(count_cores()) if prepared.device.type == "cpu" else [1]
    times = measure_step_times(thrown_away, X, Y, config.train.optimizer, make_recipe(config), counts)
    threads = choose_fewest_threads(times)
    if config.threads == "auto":
        announce_threads(threads, times, [count for count in counts if count not in times])
    return replace(prepared, config=replace(config, threads=threads)), times[threads]


def make_limits(config: Config) -> Limits:
    train = config.train
    return Limits(train.max_epochs, train.max_steps, train.max_seconds, train.patience)


def make_recipe(config: Config) -> Recipe:
    return Recipe(**{field.name: getattr(config.train, field.name) for field in fields(Recipe)})


def restore_run(trainer: Trainer, loaded: Checkpoint) -> None:
    """Put the trainer where the checkpoint is, and `best` where the checkpoint says that it is."""
    try:
        restore(trainer, loaded)
    except (KeyError, RuntimeError) as error:
        raise BadInput(f"resume: the state of the loop does not fit its settings ({str(error)!a:.80})") from None
    best = trainer.directory / checkpoint.BEST
    if loaded.record["metrics"].get("step") == trainer.step:
        if not holds_step(best, trainer.step):  # killed between `last` and `best`, or a file in a new directory
            checkpoint.save_checkpoint(best, loaded.tensors, loaded.record)
    elif not best.exists():
        # The best so far is in another directory
        trainer.best, trainer.evaluations_since_best = {"loss/val": float("inf")}, 0


def holds_step(path: Path, step: int) -> bool:
    try:
        return checkpoint.load_checkpoint(path).record["step"] == step
    except BadInput:
        return False


def build_model(config: Config, vocab_size: int, device: torch.device) -> RNNModel:
    model = RNNModel(make_model_config(config, vocab_size), config.backend)
    initialize(model, config.model.init, make_generator(config.seed, "weights"))
    model.dropout_generator = make_generator(config.seed, "dropout", device)
    return model.to(device)


def describe_run(prepared: Prepared) -> dict:
    """What every checkpoint of the run says of it: enough to build the model and to find the text again."""
    corpus = prepared.corpus
    return {
        "vocab": corpus.vocab.idx_to_token,
        "model": make_model_config(prepared.config, len(corpus.vocab)).to_record(),
        "config": asdict(prepared.config),
        "data": {
            "name": corpus.origin.name,
            "path": corpus.origin.path,
            "sha256": corpus.origin.sha256,
            "split": corpus.split.name,
            "pieces": corpus.split.pieces,
            "hashes": corpus.hashes,
        },
    }
