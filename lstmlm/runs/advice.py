"""What to change after a verdict, and the command that does it: the user's own words with one of them changed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lstmlm.runs.verdict import Finding
from lstmlm.settings.config import Config
from lstmlm.settings.hydra_yaml import to_words
from lstmlm.system.program import name_command

LONGER = 3  # times
MOST_DROPOUT = 0.5
OF_THE_RUN = re.compile(r"\+*(resume|hydra\.[^=]*)=")  # words that a new run does not repeat


@dataclass(frozen=True)
class Change:
    """A setting that gets another value; a command that only looks has neither."""

    key: str = ""
    value: float | None = None
    command: str = "train"


@dataclass(frozen=True)
class Advice:
    sentence: str  # what the command changes
    command: list[str]  # empty where nothing is advised


def advise(finding: Finding, config: Config, limit: str | None, typed: list[str] | None) -> Advice:
    """What to try after this verdict, if there is anything.

    `config` are the settings of the run, before threads=auto was replaced; `typed` are the overrides that gave them,
    None if they are not known. `limit` is the setting that ended the run.
    """
    change = CHANGES[finding.kind](config, limit) if finding.kind in CHANGES else None
    if change is None:
        return Advice("", [])
    words = list_words(config, typed)
    if not change.key:
        return Advice("looks for a learning rate", [*name_command(change.command), *words])
    now = read_setting(config, change.key)
    value = f"{change.value:g}" if change.value is not None and change.value < 1e6 else f"{change.value:.0f}"
    sentence = f"{change.key} was {now:g}"
    return Advice(sentence, [*name_command(change.command), *change_word(words, change.key, value)])


def list_words(config: Config, typed: list[str] | None) -> list[str]:
    """The overrides of a new run with these settings: as they were typed, where that is known."""
    if typed is None or any(OF_THE_RUN.match(word) and "resume=" in word for word in typed):
        return to_words(config)
    return [word for word in typed if not OF_THE_RUN.match(word)]


def change_word(words: Sequence[str], key: str, value: str) -> list[str]:
    """The words with this setting changed, where it stands, or added at the end."""
    changed = [word for word in words if word.lstrip("+").partition("=")[0] != key]
    at = next((k for k, word in enumerate(words) if word.lstrip("+").partition("=")[0] == key), len(changed))
    return [*changed[:at], f"{key}={value}", *changed[at:]]


def read_setting(config: Config, key: str) -> float:
    group, _, name = key.partition(".")
    return float(getattr(getattr(config, group), name))


# One change for each verdict that calls for one; None where there is none to make


def prolong(config: Config, limit: str | None) -> Change | None:
    """The limit that ended the run, further away."""
    if limit not in ("train.max_seconds", "train.max_epochs", "train.max_steps"):
        return None
    value = read_setting(config, limit)
    if limit == "train.max_seconds":
        return Change(limit, round_up(LONGER * value))
    return Change(limit, 2 * value)


def lower_rate(config: Config, limit: str | None) -> Change | None:
    return Change("train.lr", float(f"{config.train.lr / 3:.1g}"))


def find_rate(config: Config, limit: str | None) -> Change | None:
    return Change(command="lr_find")


def regularize(config: Config, limit: str | None) -> Change | None:
    """More dropout, up to a half; none where the user has chosen other forms of dropout, which were tuned together."""
    model = config.model
    others = (model.locked_input, model.locked_between, model.locked_output, model.weight_drop)
    if any(others) or model.dropout >= MOST_DROPOUT:
        return None
    return Change("model.dropout", round(min(MOST_DROPOUT, model.dropout + 0.2), 3))


def enlarge(config: Config, limit: str | None) -> Change | None:
    """None where init_from has the model's size."""
    return None if config.init_from is not None else Change("model.num_hiddens", 2 * config.model.num_hiddens)


CHANGES: dict[str, Callable[[Config, str | None], Change | None]] = {
    "unread": prolong,
    "falling": prolong,
    "overfits": regularize,
    "gap": regularize,
    "level": enlarge,
    "unigram": find_rate,
    "unsteady": lower_rate,
    "diverged": lower_rate,
}


def round_up(number: float) -> float:
    """To two significant digits."""
    return float(f"{number:.2g}")
