"""The settings: their types and their checks. The values, one home for each, are in conf/."""

import difflib
import math
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any, get_args

from lstmlm.system.dotted import flatten, under
from lstmlm.system.errors import BadInput


@dataclass
class Model:
    cell: str
    gru_reset: str
    num_hiddens: int
    num_layers: int
    dropout: float
    locked_input: float
    locked_between: float
    locked_output: float
    weight_drop: float
    embedding_dim: int | None
    init: str


@dataclass
class Data:
    name: str
    path: str | None
    val_path: str | None
    test_path: str | None
    vocab: str
    encoding: str
    normalize: str
    min_freq: int
    preprocess: str
    split: Any  # three fractions, three ranges of characters, or a name
    max_tokens: int | None
    sampling: str
    batch_size: int
    num_steps: int


@dataclass
class Train:
    max_epochs: int | None
    max_steps: int | None
    max_seconds: float | None
    patience: int | None
    optimizer: str
    lr: float
    schedule: str
    warmup: float
    weight_decay: float
    grad_clip: float | None
    ema: float | None
    micro_batches: int
    precision: str
    log_every: int
    eval_every: int | None
    eval_chars: int | None
    save_every: int | None
    save_minutes: float | None
    baselines: bool
    book_report: bool


@dataclass
class Sample:
    prompt: str | None
    length: int
    temperature: float


@dataclass
class Config:
    resume: str | None
    backend: str
    seed: int
    device: str
    threads: int | str  # a number, or auto
    model: Model
    data: Data
    train: Train
    sample: Sample

    @classmethod
    def from_flat(cls, flat: dict[str, Any]) -> "Config":
        """The inverse of `flatten`, for settings from a file: BadInput where a name, a type or a bound is wrong."""
        flat = BEFORE | use_present_names(flat)
        if wrong := set(option_names()) ^ set(flat):
            raise BadInput(f"settings: {', '.join(sorted(wrong))}: missing, or unknown to this version")
        groups = {}
        for field in fields(cls):
            if is_dataclass(field.type):
                inner = under(field.name + ".", flat)
                groups[field.name] = field.type(**{f.name: _typed(f, inner[f.name]) for f in fields(field.type)})
            else:
                groups[field.name] = _typed(field, flat[field.name])
        return check_config(cls(**groups))


def _typed(field: Field, value: Any) -> Any:
    """The value, if it is of the field's type (an int will do for a float, a bool not for an int)."""
    if field.type is Any:
        return value
    kinds = get_args(field.type) or (field.type,)
    if type(value) in kinds or (float in kinds and type(value) is int):
        return value
    raise BadInput(f"{field.name}: {ascii(value)[:40]} is not of the type of this setting")


CHOICES = {
    "backend": ("scratch", "nn", "cell", "fused"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "model.cell": ("lstm", "gru", "rnn"),
    "model.gru_reset": ("after", "before"),
    "model.init": ("d2l", "default"),
    "data.vocab": ("char", "byte"),
    "data.normalize": ("none", "nfc"),
    "data.preprocess": ("raw", "d2l_classic", "d2l", "ptb"),
    "data.sampling": ("sequential", "random"),
    "train.optimizer": ("sgd", "adamw"),
    "train.schedule": ("constant", "cosine", "linear"),
    "train.precision": ("float32", "bf16"),
}

# key: (smallest, largest, are the ends allowed?); null passes where the type allows it
BOUNDS = {
    "seed": (0, 2**63 - 1, True),
    "threads": (1, 1024, True),
    "model.num_hiddens": (1, 2**20, True),
    "model.num_layers": (1, 64, True),
    "model.embedding_dim": (1, 2**20, True),
    "model.dropout": (0, 0.999, True),
    "model.locked_input": (0, 0.999, True),
    "model.locked_between": (0, 0.999, True),
    "model.locked_output": (0, 0.999, True),
    "model.weight_drop": (0, 0.999, True),
    "data.min_freq": (1, math.inf, True),
    "data.max_tokens": (2, math.inf, True),
    "data.batch_size": (1, 2**20, True),
    "data.num_steps": (1, 2**20, True),
    "train.max_epochs": (1, math.inf, True),
    "train.max_steps": (1, math.inf, True),
    "train.max_seconds": (0, math.inf, False),
    "train.patience": (1, math.inf, True),
    "train.lr": (0, math.inf, False),
    "train.warmup": (0, 0.999, True),
    "train.weight_decay": (0, math.inf, True),
    "train.grad_clip": (0, math.inf, False),
    "train.ema": (0, 0.999999, True),
    "train.micro_batches": (1, 2**20, True),
    "train.log_every": (1, math.inf, True),
    "train.eval_every": (1, math.inf, True),
    "train.eval_chars": (1, math.inf, True),
    "train.save_every": (1, math.inf, True),
    "train.save_minutes": (0, math.inf, False),
    "sample.length": (0, math.inf, True),
    "sample.temperature": (0, math.inf, True),
}

# What was done before there was such a setting: for files from then
BEFORE = {"data.val_path": None, "data.test_path": None, "data.vocab": "char", "data.encoding": "utf-8"}
BEFORE |= {"data.normalize": "none", "data.min_freq": 1, "train.baselines": True}
BEFORE |= dict.fromkeys(("model.locked_input", "model.locked_between", "model.locked_output", "model.weight_drop"), 0.0)
BEFORE |= {"train.patience": None, "train.ema": None, "train.micro_batches": 1, "train.precision": "float32"}

# What a setting was called before: files from then are read
RENAMED = {"train.floors": "train.baselines"}

# The settings that bytes do not need, as they must then stand
AS_BYTES = {"data.encoding": "utf-8", "data.normalize": "none", "data.min_freq": 1, "data.preprocess": "raw"}


def check_config(config: Config) -> Config:
    """The config, or BadInput that names the setting and what it may be."""
    values = flatten(config)
    for key, choices in CHOICES.items():
        if values[key] not in choices:
            raise BadInput(f"{key}: no such option {values[key]!r}: choose one of {', '.join(choices)}")
    if isinstance(config.threads, str) and config.threads != "auto":
        raise BadInput(f"threads: no such option {config.threads!r}: choose auto or a number from 1 to 1024")
    for key, (smallest, largest, closed) in BOUNDS.items():
        value = values[key]
        if value is None or (key, value) == ("threads", "auto"):
            continue
        inside = smallest <= value <= largest if closed else smallest < value
        if not inside or not math.isfinite(value):
            span = f"{smallest} or more" if closed else f"more than {smallest}"
            if closed and largest != math.inf:
                span = f"{smallest} to {largest}"
            raise BadInput(f"{key}: must be finite and {span}, got {value}")
    if all(values[f"train.{limit}"] is None for limit in ("max_epochs", "max_steps", "max_seconds")):
        raise BadInput("train.max_epochs: no limit is set: set train.max_epochs, train.max_steps or train.max_seconds")
    if config.model.gru_reset != "after" and config.model.cell != "gru":
        raise BadInput(f"model.gru_reset: has no effect with model.cell={config.model.cell}: leave it, or use gru")
    if config.model.locked_between > 0 and config.model.num_layers == 1:
        raise BadInput(
            "model.locked_between: has no effect with model.num_layers=1: use model.locked_output, or more layers"
        )
    for key, neutral in AS_BYTES.items():
        if config.data.vocab == "byte" and values[key] != neutral:
            raise BadInput(f"{key}: has no effect with data.vocab=byte, which takes every byte as it is: leave it out")
    if config.data.test_path is not None and config.data.val_path is None:
        raise BadInput("data.test_path: needs a validation text beside it: add data.val_path=FILE")
    if config.data.val_path is not None and config.data.max_tokens is not None:
        raise BadInput("data.max_tokens: has no effect with data.val_path: leave it out, or give a shorter data.path")
    return config


def use_present_names(flat: dict[str, Any]) -> dict[str, Any]:
    """Settings from a file under the names that they have today."""
    return {RENAMED.get(key, key): value for key, value in flat.items()}


def option_names(node: type = Config, prefix: str = "") -> list[str]:
    """The dotted names of all settings."""
    names = []
    for field in fields(node):
        inner = is_dataclass(field.type)
        names += option_names(field.type, f"{prefix}{field.name}.") if inner else [prefix + field.name]
    return names


def unknown_key(key: str) -> BadInput:
    """The error for a setting that does not exist, with the nearest that do."""
    if key in RENAMED:
        return BadInput(f"{key}: is now called {RENAMED[key]}: type {RENAMED[key]}=...")
    names = option_names()
    near = difflib.get_close_matches(key, names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    group = [name for name in names if name.startswith(key.rpartition(".")[0] + ".")] or names
    return BadInput(f"{key}: no such setting: {guess}there are {', '.join(group)}")
