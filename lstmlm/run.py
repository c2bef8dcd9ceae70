"""A run from its settings: text, vocabulary, streams, model and optimizer put together, trained and judged."""

import hashlib
import logging
import os
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from lstmlm import checkpoint
from lstmlm.book import book_report
from lstmlm.config import Config, flatten, to_yaml
from lstmlm.corpus import Corpus, Split, read_corpus, split_text
from lstmlm.errors import BadInput
from lstmlm.evaluation import Score, evaluate
from lstmlm.initialization import initialize
from lstmlm.model import RNNModel
from lstmlm.optim import build_optimizer
from lstmlm.sampling import check_text, generate
from lstmlm.signals import StopRequest
from lstmlm.streams import STREAMS, fitting_batch_size
from lstmlm.tracking import Tracker, score_tags
from lstmlm.training import Limits, Trainer
from lstmlm.vocab import Vocab

log = logging.getLogger("lstmlm")


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose: from one seed, and independent of those for the other purposes."""
    mixed = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(mixed[:8], "big") >> 1)


@dataclass(frozen=True)
class Prepared:
    """What a run needs, checked, before it touches its directory."""

    config: Config
    device: torch.device
    corpus: Corpus
    split: Split
    vocab: Vocab
    ids: dict[str, Tensor]  # of each split, (n,)
    batch_size: int
    prompt: str  # of the text shown at evaluations


def prepare(config: Config) -> Prepared:
    """Read and check all that the settings name. Raises BadInput, and writes nothing."""
    device = pick_device(config.device)
    data = config.data
    corpus = read_corpus(data.name, data.path, data.preprocess)
    split = split_text(corpus.text, data.split, data.max_tokens)
    texts = {which: split.part(corpus.text, which) for which in split.ranges}
    batch_size = fitting_batch_size(len(texts["train"]), data.batch_size, data.num_steps)
    vocab = Vocab(texts["train"])
    if len(vocab) < 3:
        raise BadInput("data.split: the train part has 1 distinct character: there is nothing to learn")
    given = config.sample.prompt
    prompt = texts["val"][:20] if given is None else check_text(vocab, given, "sample.prompt")
    check_memory(config, len(vocab))
    ids = {which: torch.from_numpy(vocab.encode(text)).to(device) for which, text in texts.items()}
    return Prepared(config, device, corpus, split, vocab, ids, batch_size, prompt)


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU. BadInput if a device is asked for by name and is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in there if there[device])
    if not there[name]:
        raise BadInput(f"device: no {name} device on this machine: use device=cpu or device=auto")
    return torch.device(name)


def check_memory(config: Config, vocab_size: int) -> None:
    """Refuse a model whose weights, gradients and two moments do not fit in this machine's memory."""
    model = config.model
    H, D = model.num_hiddens, model.embedding_dim or vocab_size
    params = sum(4 * H * (width + H + 1) for width in [D] + [H] * (model.num_layers - 1)) + (H + 1) * vocab_size
    if not hasattr(os, "sysconf"):
        return
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (needed := 4 * 4 * params) > there:
        raise BadInput(
            f"model.num_hiddens: {H} hidden units in {model.num_layers} layers need {needed / 1e9:,.1f} GB, "
            f"this machine has {there / 1e9:,.1f} GB: lower model.num_hiddens or model.num_layers"
        )


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
            data_generator=generator(config.seed, "data order"),
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
    model = RNNModel(vocab_size, **model_arguments(config), backend=config.backend)
    initialize(model, config.model.init, generator(config.seed, "weights"))
    model.dropout_generator = generator(config.seed, "dropout", device)
    return model.to(device)


def model_arguments(config: Config) -> dict:
    model = config.model
    return {
        "num_hiddens": model.num_hiddens,
        "num_layers": model.num_layers,
        "dropout": model.dropout,
        "embedding_dim": model.embedding_dim,
    }


def describe(prepared: Prepared) -> dict:
    """What every checkpoint of the run says of it: enough to build the model and to find the text again."""
    corpus, split = prepared.corpus, prepared.split
    return {
        "vocab": prepared.vocab.idx_to_token,
        "model": {"vocab_size": len(prepared.vocab), **model_arguments(prepared.config)},
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


# On the screen


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
        "model: %s LSTM, %d x %d hidden units, %s parameters",
        *(config.backend, config.model.num_layers, config.model.num_hiddens),
        f"{sum(param.numel() for param in model.trained().values()):,}",
    )
    log.info(
        "training: %s steps of %d x %d characters, %s at %g, seed %d, on %s with %d thread%s",
        *("" if steps is None else f"{steps:,}", prepared.batch_size, config.data.num_steps),
        *(config.train.optimizer, config.train.lr, config.seed, prepared.device.type),
        *(config.threads, "s" * (config.threads > 1)),
    )
    log.info("directory: %s", directory)


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
