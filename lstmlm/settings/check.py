"""The checks of a configuration: each setting by itself, and settings that have no effect or exclude each other."""

from dataclasses import fields, is_dataclass
from typing import Any

from lstmlm.settings.config import SETTINGS, Config, check_type, settings_before, use_present_names
from lstmlm.system.dotted import flatten, under
from lstmlm.system.errors import BadInput

LARGEST_END = 1 << 62  # characters

# What these settings must be with data.vocab=byte, which takes every byte as it is
AS_BYTES = {"data.encoding": "utf-8", "data.normalize": "none", "data.min_freq": 1, "data.preprocess": "raw"}


def config_from_flat(flat: dict[str, Any]) -> Config:
    """The inverse of `flatten`, for settings from a file, old files too: BadInput if a name, type or bound is wrong."""
    flat = settings_before() | use_present_names(flat)
    if wrong := set(SETTINGS) ^ set(flat):
        raise BadInput(f"settings: {', '.join(sorted(wrong))}: missing, or unknown to this version")
    groups: dict[str, Any] = {}
    for declared in fields(Config):
        group = declared.type
        if isinstance(group, type) and is_dataclass(group):
            inner = under(declared.name + ".", flat)
            groups[declared.name] = group(**{one.name: check_type(one, inner[one.name]) for one in fields(group)})
        else:
            groups[declared.name] = check_type(declared, flat[declared.name])
    return check_config(Config(**groups))


def check_config(config: Config) -> Config:
    """The config, or BadInput that names the setting and what it may be."""
    check_split_size(config.data.split)
    values = flatten(config)
    for name, facts in SETTINGS.items():
        facts.check(name, values[name])
    check_limits(config)
    check_model(config)
    check_data(config, values)
    return config


def check_split_size(split: Any) -> None:
    """BadInput for a split nested deeper than ranges, or with a number beyond any text; text/split.py does the rest."""
    entries = split if isinstance(split, (list, tuple)) else [split]
    numbers = [number for entry in entries for number in (entry if isinstance(entry, (list, tuple)) else [entry])]
    too_deep = any(isinstance(number, (list, tuple, dict)) for number in numbers)
    if too_deep or any(type(number) in (int, float) and not abs(number) < LARGEST_END for number in numbers):
        raise BadInput("data.split: must be a name, three fractions, or three ranges of characters")


def check_limits(config: Config) -> None:
    train = config.train
    if train.max_epochs is None and train.max_steps is None and train.max_seconds is None:
        raise BadInput("train.max_epochs: no limit is set: set train.max_epochs, train.max_steps or train.max_seconds")


def check_model(config: Config) -> None:
    model = config.model
    if model.gru_reset != "after" and model.cell != "gru":
        raise BadInput(f"model.gru_reset: has no effect with model.cell={model.cell}: leave it, or use gru")
    if model.locked_between > 0 and model.num_layers == 1:
        raise BadInput(
            "model.locked_between: has no effect with model.num_layers=1: use model.locked_output, or more layers"
        )


def check_data(config: Config, values: dict[str, Any]) -> None:
    data = config.data
    for name, neutral in AS_BYTES.items():
        if data.vocab == "byte" and values[name] != neutral:
            raise BadInput(f"{name}: has no effect with data.vocab=byte, which takes every byte as it is: leave it out")
    if data.documents is not None:
        check_documents(config)
    elif data.column is not None:
        raise BadInput("data.column: needs documents: add data.documents=line, which makes each row a document")
    if data.label is not None and data.column is None:
        raise BadInput("data.label: needs data.column, the column that has the text: add data.column=NAME")
    if data.test_path is not None and data.val_path is None:
        raise BadInput("data.test_path: needs a validation text beside it: add data.val_path=FILE")
    if data.val_path is not None and data.max_tokens is not None:
        raise BadInput("data.max_tokens: has no effect with data.val_path: leave it out, or give a shorter data.path")


def check_documents(config: Config) -> None:
    """BadInput for a setting that is of one stream of text, and has no meaning for documents."""
    data = config.data
    if data.vocab == "byte":
        raise BadInput("data.documents: needs characters, its begin and end symbol is no byte: leave data.vocab out")
    if data.sampling != "sequential":
        raise BadInput("data.sampling: has no effect with data.documents, which are read whole: leave it out")
    if data.max_tokens is not None:
        raise BadInput("data.max_tokens: has no effect with data.documents: give ranges of documents in data.split")
    if data.column is not None and data.documents != "line":
        raise BadInput(f"data.column: has no effect with data.documents={data.documents}: use data.documents=line")
    if config.train.micro_batches != 1:
        raise BadInput("train.micro_batches: has no effect with data.documents: lower data.batch_size instead")
