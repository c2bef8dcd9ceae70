"""Settings as keyword arguments in Python, written as the overrides of a command line that they stand for."""

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Mapping

from lstmlm.settings.config import SETTINGS, find_nearest_settings
from lstmlm.settings.hydra_yaml import hydra_value
from lstmlm.settings.overrides import GROUPS
from lstmlm.settings.run_settings import DIRECTORY
from lstmlm.settings.setting import shorten
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path, find_shipped
from lstmlm.text.folder import match_pattern

# What Hydra's grammar reads as text without quotes, as a user types it
WORD = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z][a-z0-9_./-]*", re.IGNORECASE)


def write_overrides(keywords: Mapping[str, object]) -> dict[str, list[str]]:
    """For each keyword the overrides that it stands for.

    A setting goes by the last part of its name, where no other has it (`lr` for train.lr), or by its whole name. `data`
    is the name of a published text or a path. BadInput for a name or a value that cannot be.
    """
    written = {}
    for given, value in keywords.items():
        name = find_setting(given)
        if name == "data":
            written[given] = write_data(value)
        elif name in GROUPS and not isinstance(value, str):
            raise BadInput(f"{given}: {describe(value)} is no name: give one, or leave it out")
        else:
            written[given] = [f"{name}={write_value(given, value)}"]
    return written


def find_setting(given: str) -> str:
    """The setting or group that a keyword means; BadInput if there is none, or more than one."""
    if given in (*SETTINGS, *GROUPS):
        return given
    if given == "directory":
        return DIRECTORY
    meant = [name for name in SETTINGS if name.rpartition(".")[2] == given]
    if len(meant) == 1:
        return meant[0]
    if meant:
        choice = " or ".join(f"'{name}=VALUE'" for name in meant)
        raise BadInput(f"{given}: may be {' or '.join(meant)}: give the override {choice} before the keywords")
    inside = [name.rpartition(".")[2] for name in SETTINGS if name.startswith(given + ".")]
    if inside:
        raise BadInput(f"{given}: is a group of settings: give each by itself: {', '.join(inside)}")
    near = [name.rpartition(".")[2] for name in find_nearest_settings(given)]
    others = difflib.get_close_matches(given, [*GROUPS, "directory"], n=1, cutoff=0.75 if near else 0.5)
    found = others or list(dict.fromkeys(near))
    advice = f"did you mean {' or '.join(found)}?" if found else "python train.py --help lists them"
    raise BadInput(f"{given}: no such setting: {advice}")


def write_value(given: str, value: object) -> str:
    """A value in Hydra's grammar; BadInput, naming the keyword, for one that no setting has."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif not isinstance(value, str) and hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if isinstance(value, str) and WORD.fullmatch(value):
        return value
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        if not isinstance(value, Mapping):
            return hydra_value(list(value) if isinstance(value, tuple) else value)
    raise BadInput(f"{given}: {describe(value)} is no value of a setting")


def describe(value: object) -> str:
    """The value as Python writes it, cut to a width; its type where Python cannot."""
    try:
        return shorten(ascii(value))
    except Exception:  # of an object's own __repr__, or of an integer that is too long
        return f"a value of type {type(value).__name__}"


def write_data(value: object) -> list[str]:
    """The overrides for a published text by its name, or for a file, a folder or a pattern."""
    if not isinstance(value, (str, os.PathLike)):
        raise BadInput(f"data: {describe(value)} is no path and no name of a text: give data='my.txt'")
    names = sorted(path.stem for path in (find_shipped("conf") / "data").glob("*.yaml"))
    if value in names:  # of `file` the path is another keyword
        return [f"data={value}"]
    path = expand_path(os.fspath(value), "data")
    if not os.path.exists(path) and next(match_pattern(path), None) is None:
        near = difflib.get_close_matches(path, names, n=1)
        advice = f"did you mean {near[0]}?" if near else f"give a path, or one of {', '.join(names)}"
        raise BadInput(f"data: no such file or text: {path}: {advice}")
    return ["data=file", f"data.path={hydra_value(path)}"]


def check_overrides(words: Iterable[object]) -> list[str]:
    """The overrides that a caller typed; BadInput for a word that is none of a single run."""
    checked = []
    for word in words:
        if not isinstance(word, str):
            raise BadInput(f"{describe(word)}: is no override: give a text such as 'train.lr=0.01', or lr=0.01")
        if word.startswith("-"):
            raise BadInput(f"{word}: is for the command line: leave it out; settings are given as 'train.lr=0.01'")
        if "=" not in word and os.path.exists(word):
            raise BadInput(f"{word}: is no override: for a text, type data={word!r}")
        if word.startswith(("hydra.sweep.", "hydra.mode=")):
            raise BadInput(f"{word.partition('=')[0]}: has no effect here, where one run is made: leave it out")
        checked.append(word)
    return checked


def name_as_typed(error: BadInput, written: Mapping[str, list[str]]) -> BadInput:
    """The error under the keyword that the caller typed, where its message begins with the setting's whole name."""
    name, colon, rest = str(error).partition(": ")
    typed = {override.partition("=")[0]: given for given, overrides in written.items() for override in overrides}
    return BadInput(f"{typed[name]}{colon}{rest}") if typed.get(name, name) != name else error
