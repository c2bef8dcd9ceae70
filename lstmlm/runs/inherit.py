"""The settings that follow from `init_from`: the model is that of its checkpoint. No torch."""

from pathlib import Path
from typing import Any

from lstmlm.checkpoints.validation import read_checked
from lstmlm.model.model_config import OF_TEXT, ModelConfig
from lstmlm.runs.find import find_weights
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import Config
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path


def find_start(init_from: str) -> Path:
    """The checkpoint file that init_from names. BadInput if there is none."""
    try:
        return find_weights(expand_path(init_from, "init_from"))
    except BadInput as error:
        raise name_init_from(error) from None


def name_init_from(error: BadInput) -> BadInput:
    """An error about a checkpoint, under the setting that named it."""
    return BadInput(f"init_from: {str(error).removeprefix('checkpoint: ').removeprefix('init_from: ')}")


def inherit_settings(config: Config, typed: dict[str, object]) -> Config:
    """The settings of a new run, with those that follow from init_from where the user `typed` no value.

    BadInput for a model.* that was typed and is another in the checkpoint; the rates of dropout may differ.
    """
    if config.init_from is None:
        return config
    try:
        record = read_checked(find_start(config.init_from))[1]
    except BadInput as error:
        raise name_init_from(error) from None
    there = list_model_settings(ModelConfig.from_record(record["model"]))
    for name, value in there.items():
        if name in typed and typed[name] != value and not is_dropout(name):
            raise BadInput(
                f"{name}: {typed[name]} was given, and init_from={config.init_from} has {value}: leave it out"
            )
    inherited = {name: value for name, value in there.items() if name not in typed}
    return config_from_flat(flatten(config) | inherited)


def list_model_settings(model: ModelConfig) -> dict[str, Any]:
    """The settings of a model: the two forms of the GRU are one cell there."""
    record = model.to_record()
    for name in OF_TEXT:
        del record[name]
    if model.cell == "gru_before":
        record |= {"cell": "gru", "gru_reset": "before"}
    else:
        record["gru_reset"] = "after"
    return {f"model.{name}": value for name, value in record.items()}


def is_dropout(name: str) -> bool:
    return name == "model.dropout" or name.startswith(("model.locked_", "model.weight_drop"))
