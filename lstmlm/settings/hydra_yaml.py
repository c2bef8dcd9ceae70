"""Settings as Hydra and YAML write them: composed, in a file, as words of a command line."""

import json
import re
from dataclasses import asdict
from typing import Any

from lstmlm.settings.check import check_config
from lstmlm.settings.config import SETTINGS, Config, settings_before, unknown_key, use_present_names
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import find_shipped


def register_schema() -> None:
    """Tell Hydra the types: conf/config.yaml begins with this schema."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Config)


def parse_composed(composed: Any) -> Config:
    """Hydra's composition as checked dataclasses. BadInput names what is wrong."""
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except InterpolationKeyError as error:
        raise BadInput(f"{error.full_key}: refers to something that does not exist: {_first_line(error)}") from None
    except MissingMandatoryValue as error:
        raise BadInput(f"{error.full_key}: has no value: set it") from None
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key or 'config'}: {_first_line(error)}") from None
    for key in flatten(plain):
        if key not in SETTINGS:  # Hydra lets `+train.lrr=1` in
            raise unknown_key(key)
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return check_config(config)


def to_yaml(config: Config) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))


def from_yaml(text: str) -> dict[str, Any]:
    """The settings of a config.yaml, of an older version too, under their dotted names. BadInput if there are none."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        plain = OmegaConf.to_container(OmegaConf.create(text))
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"config.yaml: {_first_line(error)}") from None
    if not isinstance(plain, dict) or "seed" not in plain:
        raise BadInput("config.yaml: has no settings of a run")
    return settings_before() | use_present_names(flatten(plain))


def to_words(config: Config) -> list[str]:
    """The overrides that give these settings to `python train.py`: what differs from conf/config.yaml."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(OmegaConf.load(find_shipped("conf") / "config.yaml"))
    default = flatten(plain)
    for choice in plain["defaults"]:
        default |= choice if isinstance(choice, dict) else {}
    default |= {"data.name": default["data"], "data.path": None}
    words = []
    for key, value in flatten(config).items():
        if key != "resume" and value != default[key]:
            free = isinstance(value, str) and not is_hydra_value(value)
            words.append(f"{'data' if key == 'data.name' else key}={value if free else hydra_value(value)}")
    return words


def is_hydra_value(text: str) -> bool:
    """Is it quoted, null or a reference: what compose.py leaves to Hydra, where it takes other text as typed?"""
    return text[:1] in ("'", '"') or text in ("", "null") or "${" in text


def hydra_value(value: Any) -> str:
    """A value in Hydra's grammar, text quoted."""
    if isinstance(value, str):
        escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
        return f"'{escaped}'"
    return json.dumps(value, separators=(",", ":"))  # numbers, lists, true, null


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
