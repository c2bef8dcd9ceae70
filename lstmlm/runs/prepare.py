"""From checked settings to what a run needs: device, text, vocabulary, ids. Nothing is written but the cache."""

import os
from dataclasses import dataclass, replace

import torch

from lstmlm.checkpoints.validation import MAX_FILE, RATES
from lstmlm.layers.registry import layer_class
from lstmlm.model.shapes import count_params
from lstmlm.settings.config import Config
from lstmlm.system.errors import BadInput
from lstmlm.system.machine import get_total_memory
from lstmlm.text.batches import fit_batch_size
from lstmlm.text.corpus import Corpus, read_corpus
from lstmlm.text.oov import check_text

PATHS = ("path", "val_path", "test_path")


@dataclass(frozen=True)
class Prepared:
    """What a run needs, checked, before it touches its directory."""

    config: Config
    device: torch.device
    corpus: Corpus
    batch_size: int
    prompt: str  # of the text shown at evaluations


def prepare(config: Config) -> Prepared:
    """Read and check all that the settings name. Raises BadInput, and writes nothing but a text into the cache."""
    device = pick_device(config.device)
    if config.train.precision == "bf16" and device.type == "mps":
        raise BadInput("train.precision: bf16 is for cuda and cpu, this run is on mps: leave it out")
    data = config.data
    corpus = read_corpus(data)
    batch_size = fit_batch_size(len(corpus.ids["train"]), data.batch_size, data.num_steps)
    if batch_size % (parts := config.train.micro_batches):
        raise BadInput(
            f"train.micro_batches: {batch_size} lanes of a batch cannot be divided into {parts} equal parts: "
            f"give a divisor of {batch_size}"
        )
    given = config.sample.prompt
    shown = corpus.vocab.decode(idx for idx in corpus.ids["val"][:20] if idx != corpus.vocab.unk)
    prompt = shown if given is None else check_text(corpus.vocab, given, "sample.prompt")
    check_memory(config, len(corpus.vocab))
    # So that a checkpoint says where its text is, wherever one stands
    paths = {key: os.path.abspath(path) for key in PATHS if (path := getattr(data, key)) is not None}
    return Prepared(replace(config, data=replace(data, **paths)), device, corpus, batch_size, prompt)


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU. BadInput if a device is asked for by name and is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in there if there[device])
    if not there[name]:
        raise BadInput(f"device: no {name} device on this machine: use device=cpu or device=auto")
    return torch.device(name)


def name_cell(config: Config) -> str:
    """The cell as BACKENDS names it: the two kinds of GRU are two cells."""
    return "gru_before" if config.model.gru_reset == "before" else config.model.cell


def model_arguments(config: Config, vocab_size: int) -> dict:
    """What RNNModel takes, but for the backend: what a checkpoint stores of the model."""
    model = config.model
    return {
        "vocab_size": vocab_size,
        "num_hiddens": model.num_hiddens,
        "num_layers": model.num_layers,
        "embedding_dim": model.embedding_dim,
        "cell": name_cell(config),
        **{rate: getattr(model, rate) for rate in RATES},
    }


def check_memory(config: Config, vocab_size: int) -> None:
    """Refuse a model that this machine cannot hold, with what goes with it, or whose checkpoint is past reading."""
    model = config.model
    layer_class(name_cell(config), config.backend)  # is there such a layer?
    H, params = model.num_hiddens, count_params(model_arguments(config, vocab_size))
    averages = config.train.ema is not None
    needed, saved = (4 + averages) * 4 * params, (3 + averages) * 4 * params
    if needed > (there := get_total_memory()):
        raise BadInput(
            f"model.num_hiddens: {H} hidden units in {model.num_layers} layers need {needed / 1e9:,.1f} GB, "
            f"this machine has {there / 1e9:,.1f} GB: lower model.num_hiddens or model.num_layers"
        )
    if saved > MAX_FILE:
        raise BadInput(
            f"model.num_hiddens: a checkpoint of {saved / 1e9:,.1f} GB is more than may be read again, "
            f"{MAX_FILE / 1e9:,.1f} GB: lower model.num_hiddens or model.num_layers"
        )
