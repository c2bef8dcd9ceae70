"""The options of `evaluate --adaptive`, and its report."""

import argparse
from typing import Any

from lstmlm.commands.options import spell_option
from lstmlm.settings.adaptive import LRS, TUNED_CHARS, AdaptiveSettings
from lstmlm.system.errors import BadInput

# setting: (type, letter, help)
SETTINGS: dict[str, tuple[type, str, str]] = {
    "lr": (float, "ETA", "how far a segment moves the weights"),
    "decay": (float, "LAMBDA", "how far the trained weights pull them back"),
    "steps": (int, "T", "characters in a segment"),
}


def add_adaptive(command: argparse.ArgumentParser) -> None:
    """Add `--adaptive` and the options of its settings."""
    option = command.add_argument
    option("--adaptive", action="store_true", help="also with weights that learn from the text once it has been scored")
    for name, (kind, letter, what) in SETTINGS.items():
        default = f"{getattr(AdaptiveSettings, name):g}"
        if name == "lr":
            default = f"chosen on the way, of {', '.join(f'{lr:g}' for lr in LRS)}"
        option(spell_setting(name), type=kind, metavar=letter, help=f"--adaptive: {what} (default: {default})")
    option(
        "--adapt-tune",
        choices=("train", "val", "test"),
        help=f"--adaptive: choose ETA and LAMBDA on {TUNED_CHARS:,} characters of this other part of the run's text",
    )


def spell_setting(name: str) -> str:
    """The option of a setting: `--adapt-lr` for `lr`."""
    return spell_option(f"adapt_{name}")


def read_adaptive(args: argparse.Namespace) -> AdaptiveSettings:
    """The settings. BadInput for a value out of its bounds, or for an option that has no effect."""
    given = {name: value for name in SETTINGS if (value := getattr(args, f"adapt_{name}")) is not None}
    settings = AdaptiveSettings(**given).check(spell_setting)
    if not args.adaptive and (idle := [*given, *(["tune"] if args.adapt_tune else [])]):
        raise BadInput(f"{spell_setting(idle[0])}: has no effect without --adaptive: add it, or leave this out")
    if args.adapt_tune and (idle := [name for name in ("lr", "decay") if name in given]):
        raise BadInput(f"{spell_setting(idle[0])}: --adapt-tune chooses it: leave one out")
    if args.adaptive and len(args.checkpoint) > 1:
        raise BadInput(f"--adaptive: takes one run, got {len(args.checkpoint)}: adapt each by itself")
    return settings


def format_adaptive(settings: dict[str, Any], units: str) -> list[str]:
    """Lines for people: the score, as `units` has it, and the settings as JSON has them."""
    how = " ".join(f"{spell_setting(name)} {settings[name]:g}" for name in SETTINGS)
    if "chosen_of" in settings:
        rates = ", ".join(f"{lr:g}" for lr in settings["chosen_of"])
        chars = f"the first {settings['chosen_chars']:,} characters"
        how += f"; {spell_setting('lr')} the best of {rates} on {chars}, which their mixture scored"
    if settings["tuned_on"]:
        chars, part = settings["tuned_chars"], settings["tuned_on"]
        how += f"; the first two the best of {settings['tried']} on {chars:,} characters of {part}"
    lines = [f"adaptive: {units}, the weights learning from each segment after it is scored ({how})"]
    if settings["tuned_on"] == "train":
        lines.append(
            "note: the model knows its training text by heart to a degree: settings chosen there may be too cautious"
        )
    return lines
