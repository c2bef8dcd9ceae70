"""The settings of a run: each with its type and, beside it, all that is known of it. The values are in conf/.

To add a setting, declare it here and give its value in conf/config.yaml.
"""

import difflib
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any, get_args

from lstmlm.settings.setting import ALWAYS, Setting, facts_of, group, setting
from lstmlm.system.errors import BadInput

RATE = {"at_least": 0, "at_most": 0.999}  # the probability that dropout sets a number to zero
SIZE = {"at_least": 1, "at_most": 2**20}
ONLY_TOLD = {"may_change": True, "matters": False}  # what a run says and keeps, not what it computes


@dataclass
class Model:
    cell: str = setting("recurrent cell: lstm, gru, rnn", choices=("lstm", "gru", "rnn"))
    gru_reset: str = setting(
        "reset gate of a GRU: after the matrix product (PyTorch) or before it (d2l; scratch only)",
        choices=("after", "before"),
    )
    num_hiddens: int = setting("number of hidden units in each layer", **SIZE)
    num_layers: int = setting("number of recurrent layers", at_least=1, at_most=64)
    dropout: float = setting("dropout rate on the output of every layer, one draw for each number", **RATE)
    locked_input: float = setting(
        "locked dropout rate (one mask for all steps of a window) on the input", before=0.0, **RATE
    )
    locked_between: float = setting(
        "locked dropout rate between layers; needs num_layers of 2 or more", before=0.0, **RATE
    )
    locked_output: float = setting("locked dropout rate on the output of the last layer", before=0.0, **RATE)
    weight_drop: float = setting(
        "dropout rate on the hidden-to-hidden weights, one mask for each window", before=0.0, **RATE
    )
    embedding_dim: int | None = setting(
        "width of a learned embedding of the characters; null: one-hot inputs, as in d2l", **SIZE
    )
    init: str = setting(
        "default: orthogonal W_h*, forget bias 1; d2l: weights N(0, 0.01^2), biases 0", choices=("d2l", "default")
    )


@dataclass
class Data:
    name: str = setting("name of the text; set by data=NAME")
    path: str | None = setting(
        "a file, a folder or a quoted pattern ('texts/*.txt'); .gz files are unpacked",
        is_path=True,
        may_change=True,
    )
    val_path: str | None = setting(
        "separate text for validation, instead of a part of data.path", before=None, is_path=True, may_change=True
    )
    test_path: str | None = setting(
        "separate text for the test; needs data.val_path", before=None, is_path=True, may_change=True
    )
    vocab: str = setting(
        "char: the characters of the training part; byte: the 256 bytes, for any file",
        choices=("char", "byte"),
        before="char",
    )
    join: str = setting(
        "files of a folder: lines, in natural order, each on its own lines; plain, as before version 0.2",
        choices=("lines", "plain"),
        before="plain",
    )
    encoding: str = setting("encoding of the files: utf-8, latin-1, cp1252, utf-16, ...", before="utf-8")
    normalize: str = setting(
        "none; nfc: a letter and its combining accent become one character", choices=("none", "nfc"), before="none"
    )
    min_freq: int = setting("characters that occur fewer times in the training part become <unk>", at_least=1, before=1)
    preprocess: str = setting(
        "raw: unchanged; d2l, d2l_classic: d2l's letters and spaces; ptb: Mikolov's Penn Treebank",
        choices=("raw", "d2l_classic", "d2l", "ptb"),
    )
    split: Any = setting("train, val, test: 3 fractions, 3 ranges [start,end], or nanogpt, torchrnn, charrnn")
    max_tokens: int | None = setting("keep only this many characters of the training part; null: all", at_least=2)
    sampling: str = setting(
        "sequential: carry the state from window to window; random: shuffled windows, zero state",
        choices=("sequential", "random"),
    )
    batch_size: int = setting("number of sequences in a batch", **SIZE)
    num_steps: int = setting("length of a window: characters that a gradient is propagated back through", **SIZE)


@dataclass
class Train:
    max_epochs: int | None = setting(
        "stop after this many epochs; the run ends at the first limit that it reaches", at_least=1, may_change=True
    )
    max_steps: int | None = setting(
        "stop after this many optimizer steps; null: no such limit", at_least=1, may_change=True
    )
    max_seconds: float | None = setting(
        "stop after this many seconds, baselines and final scores not counted; null: no such limit",
        above=0,
        may_change=True,
    )
    patience: int | None = setting(
        "stop after this many consecutive evaluations without a lower validation loss",
        at_least=1,
        before=None,
        may_change=True,
    )
    optimizer: str = setting("adamw, sgd", choices=("sgd", "adamw"))
    lr: float = setting("peak learning rate", above=0)
    schedule: str = setting(
        "learning rate after the warm-up: cosine or linear decay to 0, or constant",
        choices=("constant", "cosine", "linear"),
    )
    warmup: float = setting(
        "fraction of the run over which the learning rate rises linearly from 0", at_least=0, at_most=0.999
    )
    weight_decay: float = setting("weight decay of the matrices; biases have none", at_least=0)
    grad_clip: float | None = setting(
        "largest global norm of the gradient; larger ones are scaled down; null: no clipping", above=0
    )
    ema: float | None = setting(
        "decay of a moving average of the weights (0.999 keeps 99.9 % of itself a step); null: none",
        at_least=0,
        at_most=0.999999,
        before=None,
    )
    micro_batches: int = setting(
        "split a batch into this many parts, one after the other: same step, less memory", before=1, **SIZE
    )
    precision: str = setting(
        "of the matrix products: float32; bf16, for a GPU that supports it",
        choices=("float32", "bf16"),
        before="float32",
    )
    rules: int = setting(
        "2: as the book clips, and no step at rate 0; 1: the steps of lstmlm 0.1", at_least=1, at_most=2, before=1
    )
    log_every: int = setting("optimizer steps between points of the training curves", at_least=1, **ONLY_TOLD)
    eval_every: int | None = setting("optimizer steps between evaluations; null: at the end of each epoch", at_least=1)
    eval_chars: int | None = setting(
        "use at most this many validation characters during training; null: all", at_least=1
    )
    save_every: int | None = setting(
        "optimizer steps between saves, besides the save at each evaluation; null: none", at_least=1, **ONLY_TOLD
    )
    save_minutes: float | None = setting(
        "minutes between saves, besides the save at each evaluation; null: none", above=0, **ONLY_TOLD
    )
    baselines: bool = setting(
        "score n-grams on the validation part at the start, and say when the model beats them",
        before=True,
        former_name="train.floors",
        **ONLY_TOLD,
    )
    portrait_share: float = setting(
        "share of the training time for histograms and pictures in TensorBoard; 0: none",
        before=0.01,
        at_least=0,
        at_most=1,
        may_change=True,
        matters=False,
    )
    book_report: bool = setting(
        "end with d2l's own report and the held-out scores that d2l does not print", may_change=True
    )


@dataclass
class Sample:
    prompt: str | None = setting(
        "start of the text shown at each evaluation; null: the beginning of a sentence of val", **ONLY_TOLD
    )
    length: int = setting("number of characters to generate at each evaluation", at_least=0, **ONLY_TOLD)
    temperature: float = setting(
        "divides the logits: lower is more predictable; 0: always the most probable character", at_least=0, **ONLY_TOLD
    )


@dataclass
class Config:
    resume: str | None = setting(
        "RUN_DIR or latest: continue there; FILE.safetensors: in a new directory; auto: if hydra.run.dir has one",
        is_path=True,
        **ONLY_TOLD,
    )
    init_from: str | None = setting(
        "RUN, FILE.safetensors or NAME of a model: start from its weights, on another text (docs/starting.md)",
        is_path=True,
        before=None,
    )
    backend: str = setting(
        "what computes the recurrent layers: scratch, nn, cell, fused; same function, other speed",
        choices=("scratch", "nn", "cell", "fused"),
        may_change=True,
    )
    seed: int = setting(
        "seed of all random draws: weights, order of the data, dropout, samples", at_least=0, at_most=2**63 - 1
    )
    device: str = setting(
        "auto (CUDA, else MPS, else the CPU), cpu, cuda, mps", choices=("auto", "cpu", "cuda", "mps"), may_change=True
    )
    threads: int | str = setting(
        "number of CPU threads; auto measures at the start which number is fastest",
        at_least=1,
        at_most=1024,
        words=("auto",),
        may_change=True,
    )
    rank_timeout: float = setting(
        "seconds after which a process of several that does not answer ends the run (docs/scaling.md)",
        at_least=3,
        at_most=1e6,
        before=60.0,
        **ONLY_TOLD,
    )
    model: Model = group()
    data: Data = group()
    train: Train = group()
    sample: Sample = group()


def list_settings(node: type = Config, prefix: str = "") -> dict[str, Setting]:
    """The facts of every setting, by its dotted name, in the order of this file."""
    found: dict[str, Setting] = {}
    for declared in fields(node):
        inner = declared.type
        if isinstance(inner, type) and is_dataclass(inner):
            found |= list_settings(inner, f"{prefix}{declared.name}.")
        else:
            found[prefix + declared.name] = facts_of(declared)
    return found


SETTINGS = list_settings()


def matters(name: str) -> bool:
    """Do runs that differ in this setting differ in their weights? True for a setting that is not known."""
    facts = SETTINGS.get(name)
    return facts is None or facts.matters


def settings_before() -> dict[str, Any]:
    """What stands for each setting in files that were written before it existed."""
    return {name: facts.before for name, facts in SETTINGS.items() if facts.before is not ALWAYS}


def use_present_names(flat: dict[str, Any]) -> dict[str, Any]:
    """Settings from a file under the names that they have today."""
    renamed = {facts.former_name: name for name, facts in SETTINGS.items() if facts.former_name}
    return {renamed.get(key, key): value for key, value in flat.items()}


def check_type(declared: "Field[Any]", value: Any) -> Any:
    """The value, if it is of the field's type (an int will do for a float, a bool not for an int)."""
    if declared.type is Any:
        return value
    kinds = get_args(declared.type) or (declared.type,)
    if type(value) in kinds or (float in kinds and type(value) is int):
        return value
    raise BadInput(f"{declared.name}: {ascii(value)[:40]} is not of the type of this setting")


def unknown_key(key: str) -> BadInput:
    """The error for a setting that does not exist, with the nearest that does."""
    for name, facts in SETTINGS.items():
        if key == facts.former_name:
            return BadInput(f"{key}: is now called {name}: type {name}=...")
    if near := find_nearest_settings(key):
        return BadInput(f"{key}: no such setting: did you mean {' or '.join(near)}?")
    group = [name for name in SETTINGS if "." in key and name.startswith(key.partition(".")[0] + ".")]
    where = f"there are {', '.join(group)}" if group else "python train.py --help lists them"
    return BadInput(f"{key}: no such setting: {where}")


def find_nearest_settings(key: str) -> list[str]:
    """The settings that a misspelt name, or one without its group, most likely means."""
    last_parts: dict[str, list[str]] = {}
    for name in SETTINGS:
        last_parts.setdefault(name.rpartition(".")[2], []).append(name)
    if key in last_parts:
        return last_parts[key]
    candidates = [*SETTINGS, *last_parts]
    near = difflib.get_close_matches(key, candidates, n=1, cutoff=0.75) or difflib.get_close_matches(
        key.rpartition(".")[2], last_parts, n=1
    )
    return [near[0]] if near and near[0] in SETTINGS else last_parts.get(near[0], []) if near else []
