"""The parts of a run, made from its settings: streams, model, learner, plan, trainer. Commands borrow them too.

V = vocab_size.
"""

import hashlib
import logging
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.distributed.ranks import Ranks
from lstmlm.evaluation.baselines import Baseline
from lstmlm.generation.documents import SEPARATORS
from lstmlm.inspection.gate_trace import draw_layers
from lstmlm.inspection.reach_picture import draw_reach
from lstmlm.model.initialization import initialize
from lstmlm.model.rnn_model import RNNModel
from lstmlm.model.transfer import transfer_weights
from lstmlm.runs.prepare import Prepared, make_model_config
from lstmlm.runs.start import Start
from lstmlm.settings.config import Config
from lstmlm.settings.hydra_yaml import to_yaml
from lstmlm.system.errors import BadInput
from lstmlm.text.batches import STREAMS, Streams
from lstmlm.text.corpus import Corpus
from lstmlm.text.document_batches import DocumentBatches
from lstmlm.text.labels import add_labels
from lstmlm.text.lanes import ALL_LANES, Share
from lstmlm.text.vocab import Vocab
from lstmlm.training.ema import WeightAverage
from lstmlm.training.evaluator import Evaluator, SampleSettings
from lstmlm.training.learner import Learner
from lstmlm.training.loss_scale import make_loss_scale
from lstmlm.training.optim import build_optimizer
from lstmlm.training.plan import Intervals, Limits, Plan, Recipe
from lstmlm.training.portrait import Portrait
from lstmlm.training.progress import Progress
from lstmlm.training.saver import Saver
from lstmlm.training.tracking import Tracker
from lstmlm.training.trainer import Trainer

log = logging.getLogger("lstmlm")


PORTRAIT_CHARS, PICTURED = 1000, 80  # of the validation text: for histograms, and for a picture


def make_generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose: from one seed, and independent of those for the other purposes."""
    mixed = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(mixed[:8], "big") >> 1)


# From the text


def make_streams(prepared: Prepared, share: Share = ALL_LANES) -> Streams:
    """The training part as batches, of which this process has a share."""
    data, vocab, ids = prepared.config.data, prepared.corpus.vocab, prepared.corpus.ids["train"]
    if vocab.boundary is not None:
        return DocumentBatches(
            ids,
            prepared.batch_size,
            data.num_steps,
            vocab.boundary,
            prepared.device,
            share,
            num_labels=len(vocab.labels),
            vocab_size=len(vocab),
        )
    return STREAMS[data.sampling](ids, prepared.batch_size, data.num_steps, prepared.device, share)


def to_arrays(pieces: list[Tensor]) -> list[NDArray[Any]]:
    """Pieces of ids, each (n,), as the n-grams take them."""
    return [np.asarray(piece.numpy()) for piece in pieces]


def describe_validation(corpus: Corpus) -> dict[str, Any]:
    """What goes with every figure of the validation text."""
    return {
        "split": corpus.split.name,
        "split_hash": corpus.hashes["val"],
        "bytes_per_char": corpus.bytes_per_char("val"),
    }


# The model, and what trains it


def build_model(config: Config, vocab: Vocab, device: torch.device, start: Start | None = None) -> RNNModel:
    """The model with its first weights, which depend on the seed and not on the backend; with those of `start`, if it
    is given, but for characters that are new.
    """
    model = RNNModel(make_model_config(config, vocab), config.backend)
    initialize(model, config.model.init, make_generator(config.seed, "weights"))
    if start is not None:
        model.load_book_weights(transfer_weights(start.weights, model.book_weights(), start.match))
    model.dropout_generator = make_generator(config.seed, "dropout", device)
    return model.to(device)


def build_learner(prepared: Prepared, share: Share, averages: bool = True) -> Learner:
    """The model for a share of the lanes, with its optimizer; with train.ema the average of its weights, and with
    train.precision=fp16 the scale of its loss.

    Of several processes one `averages`.
    """
    config, train = prepared.config, prepared.config.train
    model = build_model(config, prepared.corpus.vocab, prepared.device, prepared.start)
    model.share = share
    optimizer = build_optimizer(model, train.optimizer, train.lr, train.weight_decay)
    average = WeightAverage(model, train.ema) if averages and train.ema is not None else None
    return Learner(model, optimizer, average, make_loss_scale(train.precision, prepared.device))


# What it is to do


def make_recipe(config: Config) -> Recipe:
    return Recipe(**{field.name: getattr(config.train, field.name) for field in fields(Recipe)})


def make_intervals(config: Config) -> Intervals:
    return Intervals(**{field.name: getattr(config.train, field.name) for field in fields(Intervals)})


def make_limits(config: Config) -> Limits:
    return Limits(**{field.name: getattr(config.train, field.name) for field in fields(Limits)})


def make_plan(config: Config) -> Plan:
    return Plan(make_recipe(config), make_intervals(config), make_limits(config))


def make_sample_settings(prepared: Prepared) -> SampleSettings:
    config = prepared.config
    return SampleSettings(
        *(prepared.corpus.vocab, prepared.prompt, config.sample.length, config.sample.temperature, config.seed),
        separator=None if config.data.documents is None else SEPARATORS[config.data.documents],
    )


# The whole


def assemble_tracker(
    prepared: Prepared, streams: Streams, directory: Path, expected_seconds: float, resumed_at: int | None
) -> Tracker:
    config = prepared.config
    has_dropout = make_model_config(config, prepared.corpus.vocab).has_dropout
    progress = Progress(make_limits(config), streams.steps_per_epoch, has_dropout, expected_seconds, resumed_at)
    portrait = assemble_portrait(prepared)
    return Tracker(directory, progress, to_yaml(config), describe_validation(prepared.corpus), portrait, resumed_at)


def assemble_portrait(prepared: Prepared) -> Portrait:
    """What TensorBoard shows of the inside of the model while it reads the start of the validation text."""
    vocab, ids = prepared.corpus.vocab, prepared.corpus.ids["val"][:PORTRAIT_CHARS].long()
    symbols = [vocab.decode([idx]) for idx in ids[:PICTURED].tolist()]
    inputs = torch.from_numpy(add_labels(ids.numpy(), len(vocab.labels), len(vocab)))
    read = inputs[:PICTURED].to(prepared.device)

    def draw(model: RNNModel) -> dict[str, bytes]:
        return draw_layers(model, read, symbols) | draw_reach(model, ids.tolist())

    return Portrait(prepared.config.train.portrait_share, inputs[None].to(prepared.device), draw)


def assemble_trainer(
    prepared: Prepared,
    streams: Streams,
    val_pieces: list[Tensor],
    baseline: Baseline | None,
    tracker: Tracker,
    directory: Path,
    cpu_started: float,
    ranks: Ranks,
) -> Trainer:
    """The trainer of a new run; `restore_trainer` takes it to where a checkpoint was written."""
    config = prepared.config
    return Trainer(
        build_learner(prepared, ranks.share),
        streams,
        make_generator(config.seed, "data order"),
        make_plan(config),
        evaluator=Evaluator(val_pieces, baseline, make_sample_settings(prepared)),
        saver=Saver(directory, describe_run(prepared) | describe_processes(ranks.share.count)),
        tracker=tracker,
        cpu_started=cpu_started,
        ranks=ranks,
    )


def restore_trainer(trainer: Trainer, loaded: Checkpoint) -> None:
    """BadInput if the checkpoint's state does not fit its settings."""
    try:
        trainer.restore(loaded)
    except (KeyError, RuntimeError) as error:
        raise BadInput(f"resume: the state of the loop does not fit its settings ({str(error)!a:.80})") from None


def describe_processes(count: int) -> dict[str, Any]:
    """What the record of a checkpoint says of the number of processes: nothing of one."""
    return {} if count == 1 else {"processes": count}


def describe_run(prepared: Prepared) -> dict[str, Any]:
    """What the record of every checkpoint says of the run: enough to build the model and to find the text again."""
    corpus, origin = prepared.corpus, prepared.started_from
    return ({} if origin is None else {"started_from": origin}) | {
        "vocab": corpus.vocab.idx_to_token,
        "model": make_model_config(prepared.config, corpus.vocab).to_record(),
        "config": asdict(prepared.config),
        "prompt": prepared.prompt,
        "data": {
            "name": corpus.origin.name,
            "path": corpus.origin.path,
            "sha256": corpus.origin.sha256,
            "split": corpus.split.name,
            "pieces": corpus.split.pieces,
            "hashes": corpus.hashes,
        },
    }
