"""The text of `train --help`: every setting with its value and what it means."""

import re
import textwrap
from pathlib import Path

from lstmlm.settings.config import SETTINGS
from lstmlm.settings.overrides import compose_values
from lstmlm.system.paths import find_shipped

OPENING = """\
Train a character-level LSTM language model.

  python train.py backend=scratch                  the embedded text, offline
  python train.py data=file data.path=my.txt       your own text
  python train.py -m backend=scratch,nn seed=1,2   four runs, one after another
  python train.py --cfg job ...                    show its settings
"""
WIDTH, COLUMN = 80, 30  # of a line; where the texts begin


def format_help(words: list[str]) -> str:
    """Help for `python train.py WORDS`: the values are those that the overrides among the words give.

    BadInput where an override cannot be used.
    """
    values = compose_values(words)
    lines = [OPENING, "Groups, which set several settings at once (group=option):"]
    for group in ("backend", "data", "experiment"):
        lines += ["", f"  {group}", *(entry(f"  {name}", what) for name, what in list_options(group).items())]
    lines += ["", "Settings (name=value), with the values that they have in this command:"]
    before = None
    for name, facts in SETTINGS.items():
        group = name.rpartition(".")[0]
        lines += [""] * (group != before) + [entry(f"{name}={spell(values[name])}", facts.help)]
        before = group
    return "\n".join(lines)


def entry(name: str, what: str) -> str:
    """A name and what it means, in columns; a long text goes on below itself."""
    texts = textwrap.wrap(what, WIDTH - COLUMN)
    lines = (
        [f"  {name:<{COLUMN - 3}} {texts[0]}"] if len(name) <= COLUMN - 3 else [f"  {name}", " " * COLUMN + texts[0]]
    )
    return "\n".join([*lines, *(" " * COLUMN + text for text in texts[1:])])


def list_options(group: str) -> dict[str, str]:
    """The options of a group, each with the first sentence of its file."""
    return {path.stem: first_sentence(path) for path in sorted((find_shipped("conf") / group).glob("*.yaml"))}


def first_sentence(path: Path) -> str:
    comments = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    text = " ".join(comments[comments[0].startswith("@") :]).removeprefix(f"{path.stem}: ")
    return re.split(r"(?<=[a-z0-9)])[.:] ", text)[0].rstrip(".")


def spell(value: object) -> str:
    """A value as it is typed: null, true, [0.9,0.05,0.05]."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace(", ", ",") if isinstance(value, list) else str(value)
