"""`completion`: print a script that makes bash or zsh complete the commands with TAB.

The script has every command, option, choice and setting in it, so completing starts no Python. Runs are looked for in
runs/ when TAB is pressed.
"""

import argparse
from collections.abc import Iterable

from lstmlm.checkpoints.shipped import list_shipped
from lstmlm.settings.config import SETTINGS
from lstmlm.settings.overrides import GROUPS
from lstmlm.system.command_parser import CommandParser
from lstmlm.system.paths import find_shipped

SCRIPT = """\
# bash: eval "$(lstmlm completion)"
# zsh: the same, after: autoload -U compinit bashcompinit && compinit && bashcompinit
_lstmlm() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words
    [ "$before" = "=" ] && before="${{COMP_WORDS[COMP_CWORD-2]}}="
    [ "$word" = "=" ] && before="${{COMP_WORDS[COMP_CWORD-1]}}=" && word=""
    if [ "$COMP_CWORD" -eq 1 ]; then command=lstmlm; fi
    case "$command $before" in
{choices}
    *) case "$command" in
{commands}
        esac ;;
    esac
    case "$command" in {with_runs})
        words="$words latest {models} $(ls -d runs/*/ 2>/dev/null | sed 's|/$||')" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [ ${{#COMPREPLY[@]}} -eq 0 ] && COMPREPLY=($(compgen -f -- "$word"))
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}}
complete -o filenames -F _lstmlm lstmlm
"""


def add_options(command: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    print(format_script(args.parsers), end="")


def format_script(parsers: dict[str, CommandParser]) -> str:
    """The script for these commands and `train`."""
    settings = list_settings()
    words = {"lstmlm": ["train", *parsers, "--version", "--help"]}
    words["train"] = ["-m", "--help", "--cfg", *settings]
    choices = {f"* {key}=": values for key, values in list_values().items()}
    with_runs = []
    for name, parser in parsers.items():
        words[name] = []
        for action in parser._actions:
            words[name] += action.option_strings[-1:]
            if action.dest == "overrides":
                words[name] += settings
            if action.dest in ("checkpoint", "runs", "directory"):
                with_runs.append(name)
            if action.choices:
                choices |= {f"{name} {option}": list(map(str, action.choices)) for option in action.option_strings}
    return SCRIPT.format(
        choices="\n".join(f"    '{key}') words={join(values)} ;;" for key, values in choices.items()).replace(
            "'* ", "*'"
        ),
        commands="\n".join(f"        {name}) words={join(each)} ;;" for name, each in words.items()),
        with_runs="|".join(with_runs),
        models=" ".join(list_shipped()),
    )


def join(words: Iterable[str]) -> str:
    return f'"{" ".join(words)}"'


def list_settings() -> list[str]:
    """Every setting and group, with the = that follows."""
    return [f"{name}=" for name in dict.fromkeys([*GROUPS, *SETTINGS])]


def list_values() -> dict[str, list[str]]:
    """The values of the settings and groups that have a few."""
    groups = {group: sorted(path.stem for path in (find_shipped("conf") / group).glob("*.yaml")) for group in GROUPS}
    return groups | {name: list(facts.choices) for name, facts in SETTINGS.items() if facts.choices}
