"""Overrides from a command line, composed to settings by Hydra, and Hydra's error messages as one line."""

import itertools
import os
import re
import sys
from typing import Any

from lstmlm.settings.config import SETTINGS, Config, find_nearest_settings, unknown_key
from lstmlm.settings.hydra_session import hydra_session
from lstmlm.settings.hydra_yaml import hydra_value, is_hydra_value, parse_composed
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path

GROUPS = ("backend", "data", "experiment")
HYDRA_FLAGS = {"--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"}
HYDRA_FLAGS |= {
    "--shell-completion",
    "--config-path",
    "--config-name",
    "--config-dir",
    "--experimental-rerun",
    "--info",
}
# Settings whose values are free text, which Hydra's grammar would parse
DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir")
FREE_TEXT = (
    "data.path",
    "data.val_path",
    "data.test_path",
    "resume",
    "init_from",
    "data.column",
    "data.label",
    "sample.prompt",
    *DIRECTORIES,
)

FUNCTION = re.compile(r"\w+\(.*\)")  # of Hydra's sweeps: choice(a,b), glob(*)
PLAIN = re.compile(r"[A-Za-z0-9_./+*?-]+")  # what Hydra's grammar reads as one value, as it stands


def find_swept_keys(words: list[str]) -> set[str]:
    """The names of the settings that the overrides give several values, as a sweep does."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create().parse_overrides([word for word in words if word[:1] != "-"])
    return {override.get_key_element() for override in overrides if override.is_sweep_override()}


def count_jobs(words: list[str]) -> int | None:
    """How many jobs a sweep over these overrides has; None where that depends on more than they say."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType

    overrides = OverridesParser.create().parse_overrides([word for word in words if word[:1] != "-"])
    counted = (ValueType.CHOICE_SWEEP, ValueType.SIMPLE_CHOICE_SWEEP, ValueType.RANGE_SWEEP)
    total = 1
    for override in overrides:
        if override.is_sweep_override():
            if override.value_type not in counted:
                return None
            total *= len(list(override.sweep_string_iterator()))
    return None if any(word.startswith("hydra/sweeper=") for word in words) else total


def find_typed_settings(config: Config, task_overrides: list[str]) -> dict[str, object]:
    """The settings, and their values, that the user set: by name or through a group."""
    import hydra

    now, default = flatten(config), flatten(parse_composed(hydra.compose("config")))
    named = {override.lstrip("+").partition("=")[0] for override in task_overrides}
    return {key: value for key, value in now.items() if key != "resume" and (key in named or value != default[key])}


def compose_settings(words: list[str]) -> Config:
    """The settings that `python train.py` has with these overrides, for a command that starts no run.

    BadInput for a mistake, as in train.py, and for overrides that concern runs only.
    """
    for word in words:
        if re.match(r"\+*(resume|hydra\.[^=]*)=", word):
            raise BadInput(f"{word.partition('=')[0]}: has no effect here, where no run is made: leave it out")
    return parse_composed(compose(words))


def compose_values(words: list[str]) -> dict[str, Any]:
    """The value of every setting by its dotted name, as in `compose_settings` but unchecked; None if it is missing."""
    from omegaconf import OmegaConf

    composed = compose(words)
    plain = OmegaConf.to_container(composed, resolve=False, throw_on_missing=False)
    assert isinstance(plain, dict)
    flat = flatten(plain)
    return {name: None if flat.get(name) == "???" else flat.get(name) for name in SETTINGS}


def compose(words: list[str]) -> Any:
    """Hydra's composition of conf/ and these overrides. BadInput if Hydra refuses them."""
    import hydra

    try:
        with hydra_session():
            return hydra.compose("config", quote_free_text(words, sweep=False))
    except Exception as error:
        raise explain_hydra_error(error) from error


def quote_free_text(argv: list[str], sweep: bool) -> list[str]:
    """Quote the free text in overrides, because Hydra's grammar fails on it's.txt, a,b.txt or foo(1).txt.

    In a sweep a comma separates the values, but for a path that exists. The directories, which Hydra makes, are
    expanded (`~`); BadInput for one that is empty.
    """
    words = []
    for word in argv:
        key, equals, value = word.partition("=")
        name = key.lstrip("+")
        if equals and name in DIRECTORIES:
            value = expand_directory(name, value)
        if name in FREE_TEXT and not is_hydra_value(value):
            separate = sweep and name not in DIRECTORIES and not os.path.exists(value)
            value = quote_values(value) if separate else hydra_value(value)
        if sys.flags.optimize and FUNCTION.fullmatch(value):
            raise BadInput(
                f"{word}: Hydra's functions fail without assertions: unset PYTHONOPTIMIZE, or list the values"
            )
        words.append(f"{key}{equals}{value}")
    return words


def check_words(words: list[str]) -> None:
    """BadInput for words that are settings in the style of another program: `--lr 0.01`, `backend nn`, a full-width =.

    The message has what to type.
    """
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        key, equals, value = word.partition("=")
        name = key.lstrip("-").replace("-", "_")
        near = [name] if name in (*SETTINGS, *GROUPS) else find_nearest_settings(name)
        value = value if equals else following if following[:1] not in ("", "-") and "=" not in following else "VALUE"
        if "\uff1d" in key:
            raise BadInput(f"{word}: has a full-width =: type {word.replace(chr(0xFF1D), '=')}")
        if word.startswith("--") and key not in HYDRA_FLAGS and near:
            raise BadInput(f"{word}: a setting has no dashes: type {near[0]}={value}")
        if not equals and name in (*SETTINGS, *GROUPS) and word[:1] != "-":
            raise BadInput(f"{word}: cannot be read as a setting: type {word}={value}")


def expand_directory(name: str, value: str) -> str:
    """The value of a setting of DIRECTORIES, with a leading ~ expanded, inside quotes too."""
    quote = value[:1] if value[:1] in ("'", '"') else ""
    return quote + expand_path(value[len(quote) : len(value) - len(quote)], name) + quote


def quote_values(values: str) -> str:
    """The values of a sweep, each quoted where Hydra's grammar would not read it as it stands."""
    if FUNCTION.fullmatch(values) or re.search("[\"'\\[{]", values):  # the user's own grammar
        return values
    ready = {one for one in values.split(",") if PLAIN.fullmatch(one) or is_hydra_value(one)}
    return ",".join(one if one in ready else hydra_value(one) for one in values.split(","))


def explain_hydra_error(error: Exception) -> Exception:
    """The BadInput of one line for an exception of Hydra; any other exception is returned unchanged."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, ValueError) and str(error).startswith("Only one of --run, --multirun"):
        return BadInput("-m: has no effect where nothing is run: leave it out, or leave out --cfg, --info and -sc")
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return error
    text = f"{error}\n{error.__cause__}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, name = error.missing_cfg_file.partition("/")
        if group == "hydra" and name.startswith("launcher/"):
            group, name = "hydra/launcher", name.removeprefix("launcher/")
            return BadInput(f"{group}={name}: is not installed: pip install hydra-{name}-launcher, or leave it out")
        return BadInput(f"{group}={name}: no such option: choose one of {', '.join(error.options)}")
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        hint = f"\"{key}='{value}'\"" if equals else f"{key}=VALUE"
        return BadInput(f"{error.override}: cannot be read as a setting: type {hint}")
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = match[1].partition("=")
        return BadInput(f"{match[1]}: several values are a sweep, python train.py -m; for a list type {key}=[{values}]")
    if match := re.search(r"(?:Could not override|Could not find) '([^']+)'", text):
        return unknown_key(match[1])
    if match := re.search(r"(Value .*)\n\s*full_key: (\S+)", text):
        return BadInput(f"{match[2]}: {match[1][0].lower()}{match[1][1:]}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return BadInput(f"settings: {' '.join(lines[:2])}: python train.py --help lists them")
