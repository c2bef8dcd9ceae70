"""Conversion of a torch file to a checkpoint: the role of each tensor, the vocabulary, `<unk>`, the record.

V = symbols of the torch file's model, H = num_hiddens, D = width of the first layer's input: of the embedding, or V.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.checkpoint import CONVERTED
from lstmlm.checkpoints.safetensors_file import read_regular
from lstmlm.checkpoints.torch_file import read_state
from lstmlm.layers.contract import Tensors
from lstmlm.layers.weight_names import WEIGHT_NAMES
from lstmlm.model.model_config import OF_TEXT, ModelConfig
from lstmlm.model.torch_weights import count_layers, layers_from_torch
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import Config
from lstmlm.system.dotted import flatten, under
from lstmlm.system.errors import BadInput
from lstmlm.system.hashing import hash_text
from lstmlm.text.split import SPLITS
from lstmlm.text.vocab import UNK

LAYER = re.compile(r"(?:.*\.)?((?:weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l[0-9]{1,3}(?:_reverse)?)")
UNKNOWN_NATS = 30.0  # the lowest cost of `<unk>`: a probability of 1e-13


@dataclass(frozen=True)
class Conversion:
    """A checkpoint that was converted from a torch file."""

    path: Path  # of the checkpoint
    model: ModelConfig
    num_symbols: int  # of the torch file's model
    added_unknown: bool  # whether `<unk>` was added to them


def convert_torch_file(source: Path, vocab: Path | None, out: Path, defaults: Config) -> Conversion:
    """Convert the weights in a torch file to a checkpoint.

    Args:
        source: a state_dict written by torch.save, of one nn.LSTM, nn.GRU or nn.RNN, an nn.Linear and at most one
            nn.Embedding.
        vocab: the file with the symbols, for `read_vocabulary`.
        out: the checkpoint, which must not exist.
        defaults: the settings to record; those of the model are taken from the weights.

    Raises BadInput if the file or the vocabulary cannot be used, and then writes nothing.
    """
    if out.exists():
        raise BadInput(f"--out: {out} is there already: choose another name with --out FILE.safetensors")
    state, source_hash = read_state(source)
    weights = extract_weights(state)
    size = len(weights["b_q"])
    if vocab is None:
        raise BadInput(f"--vocab: a torch file does not say which characters its {size} ids are: give --vocab FILE")
    symbols = read_vocabulary(vocab, size)
    added = symbols[0] != UNK
    if added:
        symbols, weights = [UNK, *symbols], add_unknown_symbol(weights)
    model = infer_model_config(weights)
    record = describe_conversion(make_settings(defaults, model), model, symbols, source, source_hash)
    checkpoint.save_checkpoint(out, weights, record)
    try:
        checkpoint.load_checkpoint(out)  # a checkpoint that cannot be read is not left behind
    except BadInput:
        out.unlink()
        raise
    return Conversion(out, model, size, added)


def make_settings(defaults: Config, model: ModelConfig) -> Config:
    """The defaults with backend nn, no text, and the settings of this model."""
    own = {f"model.{name}": value for name, value in model.to_record().items() if name not in OF_TEXT}
    return config_from_flat(flatten(defaults) | {"backend": "nn", "data.name": CONVERTED} | own)


# The role of each tensor


def extract_weights(state: Tensors) -> Tensors:
    """The weights of a language model, by d2l's names, from a state_dict with any prefixes.

    The recurrent layers are recognized by their suffixes, `weight_ih_l0` and so on, the head (V, H) and an embedding
    (V, D) by their shapes. BadInput names a tensor that is missing, or one that no model of this program has.
    """
    keys = {name: match[1] for name in state if (match := LAYER.fullmatch(name))}
    rnn = {key: state[name] for name, key in keys.items()}
    if len(rnn) != len(keys):
        raise BadInput("--from-torch: has two recurrent modules: only a model with one can be taken over")
    try:
        weights = layers_from_torch(rnn)
    except ValueError as error:
        raise BadInput(f"--from-torch: {error}") from None
    names = list(state)
    behind = names[max(names.index(name) for name in keys) :]
    rest = {name: tensor for name, tensor in state.items() if name not in keys}
    D, H = rnn["weight_ih_l0"].shape[1], rnn["weight_hh_l0"].shape[1]
    head, bias, embedding = find_head_and_embedding(rest, behind, D, H)
    if embedding is not None:
        weights["W_e"] = embedding.clone()
    return weights | {"W_hq": head.T.contiguous().clone(), "b_q": torch.zeros(len(head)) if bias is None else bias}


def find_head_and_embedding(
    rest: Tensors, behind: list[str], D: int, H: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The head (V, H), and its bias (V,) and the embedding (V, D) or None. BadInput for any other tensor.

    `behind` are the names after the recurrent layers.
    """
    vectors, matrices = ([name for name, tensor in rest.items() if tensor.dim() == axes] for axes in (1, 2))
    heads = [name for name in matrices if rest[name].shape[1] == H]
    if len(heads) > 1:  # an embedding as wide as the layers: the head has the bias, or comes after the layers
        biased = [name for name in heads if name.removesuffix("weight") + "bias" in vectors]
        heads = biased or [name for name in heads if name in behind]
    if len(heads) != 1:
        raise BadInput(f"--from-torch: needs one matrix (symbols, {H}) for the head, found {list_names(heads)}")
    V = len(rest[heads[0]])
    inputs = [name for name in matrices if name != heads[0]]
    if len(vectors) > 1 or len(inputs) > 1 or any(len(rest[name]) != V for name in vectors + inputs):
        raise BadInput(
            f"--from-torch: beside layers and head of {V} symbols it has {list_names(vectors + inputs)}: a model here "
            f"has one bias ({V},) and one embedding ({V}, {D}) at most"
        )
    if (rest[inputs[0]].shape[1] if inputs else V) != D:
        read = f"the embedding gives {rest[inputs[0]].shape[1]}" if inputs else f"one-hot symbols are {V}"
        raise BadInput(f"--from-torch: weight_ih_l0 takes {D} numbers, but {read}")
    bias, embedding = (rest[names[0]] if names else None for names in (vectors, inputs))
    return rest[heads[0]], bias, embedding


def list_names(names: list[str]) -> str:
    """The first names, escaped, for a message."""
    return ", ".join(ascii(name)[1:-1][:40] for name in names[:5]) or "none"


def infer_model_config(weights: Tensors) -> ModelConfig:
    """The sizes and the cell of a model, from its weights; without dropout."""
    names = set(under("layers.0.", weights))
    return ModelConfig(
        vocab_size=len(weights["b_q"]),
        num_hiddens=len(weights["W_hq"]),
        num_layers=count_layers(weights),
        embedding_dim=weights["W_e"].shape[1] if "W_e" in weights else None,
        cell=next(cell for cell, own in WEIGHT_NAMES.items() if set(own) == names),
    )


# The vocabulary


def read_vocabulary(path: Path, size: int) -> list[str]:
    """The `size` symbols in the order of their ids, from a JSON list, or from a text of these characters only.

    The first symbol may be `<unk>`; every other is one character. BadInput for anything else.
    """
    try:
        text = read_regular(path, "--vocab").decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"--vocab: {path} is not UTF-8 at byte {error.start}") from None
    try:
        tokens = json.loads(text)
    except (ValueError, RecursionError):
        tokens = text
    if not isinstance(tokens, list):
        tokens = list(text.removesuffix("\n") if len(text) == size + 1 else text)  # an editor's line end at the end
    for k, token in enumerate(tokens):
        if not isinstance(token, str) or (len(token) != 1 and (k, token) != (0, UNK)):
            raise BadInput(f"--vocab: {path}: symbol {k} is {ascii(token)[:40]}: it must be a text of one character")
    if len(tokens) != size:
        raise BadInput(f"--vocab: {path} has {len(tokens)} symbols, the head of the model has {size}")
    if len(set(tokens)) != size:
        twice = next(token for k, token in enumerate(tokens) if token in tokens[:k])
        raise BadInput(f"--vocab: {path}: {twice!a} stands twice: every id has a character of its own")
    return tokens


def add_unknown_symbol(weights: Tensors) -> Tensors:
    """The weights of the same model with one more symbol, of id 0: `<unk>`.

    The symbol's input row is zero. Its logit is `UNKNOWN_NATS` below the mean of the other logits, in every state, so
    that their probabilities change by less than the precision of float32.
    """
    weights = dict(weights)
    for name in ["W_e"] if "W_e" in weights else [name for name in weights if name.startswith("layers.0.W_x")]:
        weights[name] = torch.cat([torch.zeros(1, weights[name].shape[1]), weights[name]])
    weights["W_hq"] = torch.cat([weights["W_hq"].mean(1, keepdim=True), weights["W_hq"]], 1)
    weights["b_q"] = torch.cat([weights["b_q"].mean(0, keepdim=True) - UNKNOWN_NATS, weights["b_q"]])
    return weights


# The record


def describe_conversion(
    config: Config, model: ModelConfig, vocab: list[str], source: Path, source_hash: str
) -> dict[str, Any]:
    """The record of the checkpoint: of step 0, with the torch file in place of a text."""
    return {
        "step": 0,
        "epoch": 0.0,
        "vocab": vocab,
        "model": model.to_record(),
        "config": asdict(config),
        "data": {
            "name": CONVERTED,
            "path": str(source.resolve()),
            "sha256": source_hash,
            "split": "none",
            "pieces": {which: [] for which in SPLITS},
            "hashes": dict.fromkeys(SPLITS, hash_text("")),
        },
        "metrics": {},
        "loop": {
            **dict.fromkeys(("batch", "chars", "meter_chars", "meter_steps"), 0),
            **dict.fromkeys(("seconds", "training_seconds"), 0.0),
            **dict.fromkeys(("since_evaluation", "this_epoch"), [0] * 5),
        },
    }
