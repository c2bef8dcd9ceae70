"""From checked settings to the device, text, vocabulary and ids of a run. Nothing is written but the cache."""

import os
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from lstmlm.checkpoints.safetensors_file import MAX_FILE
from lstmlm.layers.registry import layer_class
from lstmlm.layers.torch_nn import WIDTH
from lstmlm.model.model_config import OF_TEXT, ModelConfig
from lstmlm.model.shapes import count_params
from lstmlm.runs.start import Start, load_start
from lstmlm.settings.config import Config, Data
from lstmlm.system.errors import BadInput
from lstmlm.system.machine import get_total_memory
from lstmlm.system.paths import expand_path
from lstmlm.text.batches import fit_batch_size
from lstmlm.text.corpus import Corpus, read_corpus
from lstmlm.text.decoding import unify_text
from lstmlm.text.oov import check_text
from lstmlm.text.sentence import READ, choose_sentence_start
from lstmlm.text.vocab import Vocab

PATHS = ("path", "val_path", "test_path")


@dataclass(frozen=True)
class Prepared:
    """The settings of a run, and its text, both checked, before it touches its directory."""

    config: Config
    device: torch.device
    corpus: Corpus
    batch_size: int
    prompt: str  # of the text shown at evaluations
    start: Start | None = None  # of a new run with init_from
    started_from: dict[str, Any] | None = None  # the origin of that start, of a resumed run too


def prepare(config: Config, processes: int = 1) -> Prepared:
    """Read and check all that the settings name, for a run of so many processes. BadInput if it cannot be used. Only a
    download is written.
    """
    device = pick_device(config.device)
    if device.type == "mps" and processes > 1:
        raise BadInput("device: mps serves one process: use device=cpu, or start train.py without torchrun")
    check_precision(config, device.type)
    data = config.data
    corpus = read_corpus(data)
    batch_size = data.batch_size
    if data.documents is None:
        batch_size = fit_batch_size(len(corpus.ids["train"]), data.batch_size, data.num_steps)
        check_division(batch_size, processes, config.train.micro_batches)
    given = config.sample.prompt
    prompt = choose_prompt(corpus) if given is None else check_prompt(corpus.vocab, given, data)
    check_memory(config, corpus.vocab)
    # Absolute, so that a checkpoint names its text whatever the working directory
    typed = {key: path for key in PATHS if (path := getattr(data, key)) is not None}
    paths: dict[str, Any] = {key: os.path.abspath(expand_path(path, f"data.{key}")) for key, path in typed.items()}
    return Prepared(replace(config, data=replace(data, **paths)), device, corpus, batch_size, prompt)


def check_precision(config: Config, device: str) -> None:
    """BadInput for a precision that this run cannot have, or could have and gain nothing."""
    precision, H = config.train.precision, config.model.num_hiddens
    if precision == "bf16" and device == "mps":
        raise BadInput("train.precision: bf16 is for cuda and cpu, this run is on mps: leave it out")
    if precision != "fp16":
        return
    if config.backend != "nn":
        raise BadInput("train.precision: fp16 is for cuDNN's kernels: add backend=nn, or use bf16")
    if H % WIDTH != 0:
        near = " or ".join(str(width) for width in (H // WIDTH * WIDTH, -(-H // WIDTH) * WIDTH) if width)
        raise BadInput(f"model.num_hiddens: {H} is no multiple of {WIDTH}, as train.precision=fp16 needs: give {near}")
    if device != "cuda":
        raise BadInput(f"train.precision: fp16 is for cuda, this run is on {device}: leave it out")


def check_division(batch_size: int, processes: int, micro_batches: int) -> None:
    """BadInput if the lanes of a batch cannot be divided equally."""
    parts = processes * micro_batches
    if batch_size % parts == 0:
        return
    if processes == 1:
        raise BadInput(
            f"train.micro_batches: {batch_size} lanes of a batch cannot be divided into {parts} equal parts: "
            f"give a divisor of {batch_size}"
        )
    each = "" if micro_batches == 1 else f", of {micro_batches} micro-batches each"
    near = " or ".join(str(size) for size in (batch_size // parts * parts, -(-batch_size // parts) * parts) if size)
    raise BadInput(
        f"data.batch_size: {batch_size} lanes of a batch cannot be divided among {processes} processes{each}: "
        f"give {near}, or start another number of processes"
    )


def add_start(prepared: Prepared) -> Prepared:
    """The same for a new run, with the weights that init_from names. BadInput if they cannot be used."""
    start = load_start(prepared.config, prepared.corpus.vocab)
    return prepared if start is None else replace(prepared, start=start, started_from=start.origin)


def choose_prompt(corpus: Corpus) -> str:
    """The beginning of a sentence of the validation text, for samples to read on from; of documents: none."""
    if corpus.vocab.boundary is not None:
        return ""
    ids = corpus.ids["val"][:READ]
    return choose_sentence_start(
        corpus.vocab.decode(ids[ids != corpus.vocab.unk] if corpus.vocab.unk is not None else ids)
    )


def check_prompt(vocab: Vocab, prompt: str, data: Data) -> str:
    """sample.prompt as the model reads it. BadInput for a character that the vocabulary lacks."""
    typed = prompt if data.vocab == "byte" else unify_text(prompt, data.normalize)
    return check_text(vocab, typed, "sample.prompt")


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU. BadInput if the device that is named does not exist here."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device in there if there[device])
    if not there[name]:
        raise BadInput(f"device: no {name} device on this machine: use device=cpu or device=auto")
    return torch.device(name)


def make_model_config(config: Config, vocab: Vocab) -> ModelConfig:
    """What the model of these settings is made of: the two forms of the GRU are two cells."""
    names = [field.name for field in fields(ModelConfig) if field.name not in OF_TEXT]
    given = {name: getattr(config.model, name) for name in names}
    if config.model.gru_reset == "before":
        given["cell"] = "gru_before"
    return ModelConfig(len(vocab), num_labels=len(vocab.labels), **given)


def check_memory(config: Config, vocab: Vocab) -> None:
    """BadInput for a model whose training exceeds the memory, or whose checkpoint would be too large to read."""
    model = config.model
    model_config = make_model_config(config, vocab)
    layer_class(model_config.cell, config.backend)  # BadInput if the backend has no such cell
    H, params = model.num_hiddens, count_params(model_config)
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
