"""From checked settings to what a run needs: device, text, vocabulary, ids. Nothing is written yet."""

import os
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lstmlm.backends import layer_class
from lstmlm.config import Config
from lstmlm.corpus import Corpus, Split, read_corpus, split_text
from lstmlm.errors import BadInput
from lstmlm.gate import MAX_FILE
from lstmlm.streams import fitting_batch_size
from lstmlm.unknown import check_text
from lstmlm.vocab import Vocab


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
    if data.path is not None:  # so that a checkpoint says where its text is, wherever one stands
        config = replace(config, data=replace(data, path=str(corpus.path)))
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


def cell_of(config: Config) -> str:
    """The cell as BACKENDS names it: the two kinds of GRU are two cells."""
    return "gru_before" if config.model.gru_reset == "before" else config.model.cell


def model_arguments(config: Config, vocab_size: int) -> dict:
    """What RNNModel takes, but for the backend: what a checkpoint stores of the model."""
    model = config.model
    return {
        "vocab_size": vocab_size,
        "num_hiddens": model.num_hiddens,
        "num_layers": model.num_layers,
        "dropout": model.dropout,
        "embedding_dim": model.embedding_dim,
        "cell": cell_of(config),
    }


def check_memory(config: Config, vocab_size: int) -> None:
    """Refuse a model that with gradients and moments this machine cannot hold, or whose checkpoint is past reading."""
    model = config.model
    gates = len(layer_class(cell_of(config), config.backend).names) // 3
    H, D = model.num_hiddens, model.embedding_dim or vocab_size
    params = sum(gates * H * (width + H + 1) for width in [D] + [H] * (model.num_layers - 1)) + (H + 1) * vocab_size
    needed, saved = 4 * 4 * params, 3 * 4 * params
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else needed
    if needed > there:
        raise BadInput(
            f"model.num_hiddens: {H} hidden units in {model.num_layers} layers need {needed / 1e9:,.1f} GB, "
            f"this machine has {there / 1e9:,.1f} GB: lower model.num_hiddens or model.num_layers"
        )
    if saved > MAX_FILE:
        raise BadInput(
            f"model.num_hiddens: a checkpoint of {saved / 1e9:,.1f} GB is more than may be read again, "
            f"{MAX_FILE / 1e9:,.1f} GB: lower model.num_hiddens or model.num_layers"
        )
