"""A run from its settings: text, vocabulary, streams, model and optimizer put together, trained and judged."""

import hashlib
import time
from dataclasses import asdict
from pathlib import Path

import torch

from lstmlm import checkpoint
from lstmlm.book import book_report
from lstmlm.config import Config, flatten, to_yaml
from lstmlm.evaluation import Score, evaluate
from lstmlm.initialization import initialize
from lstmlm.model import RNNModel
from lstmlm.optim import build_optimizer
from lstmlm.prepare import Prepared, model_arguments
from lstmlm.report import announce, report
from lstmlm.sampling import generate
from lstmlm.signals import StopRequest
from lstmlm.streams import STREAMS
from lstmlm.tracking import Tracker, score_tags
from lstmlm.training import Limits, Trainer


def seeded(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose: from one seed, and independent of those for the other purposes."""
    mixed = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(mixed[:8], "big") >> 1)


def execute(prepared: Prepared, directory: Path) -> dict:
    """Train in `directory`, which this run has to itself, judge the best weights, and say what came out.

    Returns the figures of the last line of metrics.jsonl.
    """
    config, vocab, ids, device = prepared.config, prepared.vocab, prepared.ids, prepared.device
    torch.set_num_threads(config.threads)
    started = time.perf_counter()

    model = build_model(config, len(vocab), device)
    train = config.train
    optimizer = build_optimizer(model, train.optimizer, train.lr, train.weight_decay)
    streams = STREAMS[config.data.sampling](ids["train"], prepared.batch_size, config.data.num_steps)
    limits = Limits(train.max_epochs, train.max_steps, train.max_seconds)
    announce(prepared, model, limits.steps(streams.steps_per_epoch), directory)

    def sample() -> str:
        return generate(model, vocab, prepared.prompt, config.sample.length, config.sample.temperature, config.seed)

    tracker = Tracker(directory, limits.steps(streams.steps_per_epoch), to_yaml(config))
    try:
        trainer = Trainer(
            model,
            optimizer,
            streams,
            ids["val"],
            lr=train.lr,
            schedule=train.schedule,
            warmup=train.warmup,
            grad_clip=train.grad_clip,
            limits=limits,
            log_every=train.log_every,
            eval_every=train.eval_every,
            eval_chars=train.eval_chars,
            data_generator=seeded(config.seed, "data order"),
            tracker=tracker,
            directory=directory,
            record=describe(prepared),
            sample=sample,
        )
        with StopRequest() as stop:
            trainer.fit(stop)
        tracker.bar.close()
        book = book_report(trainer, ids, vocab) if train.book_report else {}
        model.load_book_weights(checkpoint.load(directory / checkpoint.BEST).weights)
        scores = {which: evaluate(model, ids[which]) for which in ("val", "test") if len(ids[which]) > 1}
        figures = book | final_figures(trainer, scores, time.perf_counter() - started)
        tracker.final(flatten(config), figures)
    finally:
        tracker.close()
    report(prepared, scores, figures, directory)
    return figures


def build_model(config: Config, vocab_size: int, device: torch.device) -> RNNModel:
    model = RNNModel(**model_arguments(config, vocab_size), backend=config.backend)
    initialize(model, config.model.init, seeded(config.seed, "weights"))
    model.dropout_generator = seeded(config.seed, "dropout", device)
    return model.to(device)


def describe(prepared: Prepared) -> dict:
    """What every checkpoint of the run says of it: enough to build the model and to find the text again."""
    corpus, split = prepared.corpus, prepared.split
    return {
        "vocab": prepared.vocab.idx_to_token,
        "model": model_arguments(prepared.config, len(prepared.vocab)),
        "config": asdict(prepared.config),
        "data": {
            "name": corpus.name,
            "path": str(corpus.path),
            "sha256": corpus.sha256,
            "preprocess": prepared.config.data.preprocess,
            "split": split.name,
            "ranges": split.ranges,
            "hashes": split.hashes,
        },
    }


def final_figures(trainer: Trainer, scores: dict[str, Score], seconds: float) -> dict:
    """The last line of metrics.jsonl: the best weights, scored whole, and what they cost."""
    figures = {"step": trainer.step, "best_step": trainer.best["step"], "best_epoch": trainer.best["progress/epoch"]}
    for which, score in scores.items():
        figures |= score_tags(f"{which}_best", score)
    return figures | {"seconds": seconds, "chars_per_s": trainer.chars_per_second}
