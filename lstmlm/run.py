"""A run from its settings: text, vocabulary, streams, model and optimizer put together, trained and judged."""

import hashlib
import math
from dataclasses import asdict
from pathlib import Path

import torch

from lstmlm import checkpoint
from lstmlm.book import book_report
from lstmlm.checkpoint import Checkpoint
from lstmlm.commit import write_durably
from lstmlm.config import Config, flatten, to_yaml
from lstmlm.errors import BadInput, Diverged
from lstmlm.evaluation import Score, evaluate
from lstmlm.initialization import initialize
from lstmlm.model import RNNModel
from lstmlm.optim import build_optimizer
from lstmlm.prepare import Prepared, model_arguments
from lstmlm.report import announce, report
from lstmlm.sampling import generate
from lstmlm.signals import StopRequest
from lstmlm.snapshot import restore
from lstmlm.streams import STREAMS, Streams
from lstmlm.tracking import Tracker, score_tags
from lstmlm.training import Limits, Trainer


def seeded(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose: from one seed, and independent of those for the other purposes."""
    mixed = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(mixed[:8], "big") >> 1)


def execute(prepared: Prepared, directory: Path, loaded: Checkpoint | None = None) -> None:
    """Train in `directory`, which this run has to itself, judge the best weights, and say what came out.

    With a checkpoint of the same run, go on from there.
    """
    config, vocab, ids = prepared.config, prepared.vocab, prepared.ids
    torch.set_num_threads(config.threads)
    write_durably(directory / "config.yaml", to_yaml(config).encode())
    model = build_model(config, len(vocab), prepared.device)
    train = config.train
    streams = make_streams(prepared)
    limits = limits_of(config)
    steps = limits.steps(streams.steps_per_epoch)
    announce(prepared, model, steps, directory)

    def sample() -> str:
        return generate(model, vocab, prepared.prompt, config.sample.length, config.sample.temperature, config.seed)

    tracker = Tracker(directory, steps, to_yaml(config), resumed_at=loaded.record["step"] if loaded else None)
    try:
        trainer = Trainer(
            model,
            build_optimizer(model, train.optimizer, train.lr, train.weight_decay),
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
            save_every=train.save_every,
            save_minutes=train.save_minutes,
            data_generator=seeded(config.seed, "data order"),
            tracker=tracker,
            directory=directory,
            record=describe(prepared),
            sample=sample,
        )
        if loaded is not None:
            go_on_from(trainer, loaded)
        with StopRequest() as stop:
            trainer.fit(stop)
        tracker.bar.close()
        if not math.isfinite(trainer.best["loss/val"]):
            raise Diverged("training diverged: no evaluation gave a finite validation loss: lower train.lr")
        book = book_report(trainer, ids, vocab) if train.book_report else {}
        model.load_book_weights(checkpoint.load(directory / checkpoint.BEST).weights)
        scores = {which: evaluate(model, ids[which]) for which in ("val", "test") if len(ids[which]) > 1}
        figures = book | final_figures(trainer, scores)
        tracker.final(flatten(config), figures)
    finally:
        tracker.close()
    report(prepared, scores, figures, directory)


def make_streams(prepared: Prepared) -> Streams:
    data = prepared.config.data
    return STREAMS[data.sampling](prepared.ids["train"], prepared.batch_size, data.num_steps)


def limits_of(config: Config) -> Limits:
    return Limits(config.train.max_epochs, config.train.max_steps, config.train.max_seconds)


def go_on_from(trainer: Trainer, loaded: Checkpoint) -> None:
    """Put the trainer where the checkpoint is, and `best` where the checkpoint says that it is."""
    try:
        restore(trainer, loaded)
    except (KeyError, RuntimeError) as error:
        raise BadInput(f"resume: the state of the loop does not fit its settings ({str(error)!a:.80})") from None
    best = trainer.directory / checkpoint.BEST
    if loaded.record["metrics"].get("step") == trainer.step:
        if not holds_step(best, trainer.step):  # killed between `last` and `best`, or a file in a new directory
            checkpoint.save(best, loaded.tensors, loaded.record)
    elif not best.exists():
        trainer.best = {"loss/val": float("inf")}  # the best so far is in another directory


def holds_step(path: Path, step: int) -> bool:
    try:
        return checkpoint.load(path).record["step"] == step
    except BadInput:
        return False


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


def final_figures(trainer: Trainer, scores: dict[str, Score]) -> dict:
    """The last line of metrics.jsonl: the best weights, scored whole, and what they cost."""
    figures = {"step": trainer.step, "best_step": trainer.best["step"], "best_epoch": trainer.best["progress/epoch"]}
    for which, score in scores.items():
        figures |= score_tags(f"{which}_best", score)
    return figures | {"seconds": trainer.seconds, "chars_per_s": trainer.chars_per_second}
