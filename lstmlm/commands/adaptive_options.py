"""`evaluate --adaptive`: its options, and the figures of a model that goes on learning from what it has scored."""

import argparse
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lstmlm.settings.adaptive import AdaptiveSettings
from lstmlm.system.errors import BadInput, Diverged

if TYPE_CHECKING:
    from torch import Tensor

    from lstmlm.evaluation.held_out import Part
    from lstmlm.model.rnn_model import RNNModel
    from lstmlm.text.corpus import Corpus

STATISTICS = 50_000  # characters of the training text, its last, that the gradient is measured on
TUNED = 10_000  # characters that the settings are tuned on
SETTINGS = {
    "lr": (float, "ETA", "how far a segment moves the weights"),
    "decay": (float, "LAMBDA", "how far the trained weights pull them back"),
    "steps": (int, "T", "characters in a segment"),
}


def add_options(command: argparse.ArgumentParser) -> None:
    option = command.add_argument
    option("--adaptive", action="store_true", help="also with weights that learn from the text once it has been scored")
    for name, (kind, letter, what) in SETTINGS.items():
        default = getattr(AdaptiveSettings, name)
        option(spell_option(name), type=kind, metavar=letter, help=f"--adaptive: {what} (default: {default:g})")
    option(
        "--adapt-tune",
        choices=("train", "val", "test"),
        help=f"--adaptive: choose ETA and LAMBDA on {TUNED:,} characters of this other part of the run's text",
    )


def spell_option(name: str) -> str:
    return f"--adapt-{name}"


def check_options(args: argparse.Namespace) -> AdaptiveSettings:
    """The settings. BadInput for what means nothing, or has no effect."""
    given = {name: value for name in SETTINGS if (value := getattr(args, f"adapt_{name}")) is not None}
    settings = AdaptiveSettings(**given).check(spell_option)
    if not args.adaptive and (idle := [*given, *(["tune"] if args.adapt_tune else [])]):
        raise BadInput(f"{spell_option(idle[0])}: has no effect without --adaptive: add it, or leave this out")
    if args.adapt_tune and (idle := [name for name in ("lr", "decay") if name in given]):
        raise BadInput(f"{spell_option(idle[0])}: --adapt-tune chooses it: leave one out")
    if args.adaptive and len(args.checkpoint) > 1:
        raise BadInput(f"--adaptive: takes one run, got {len(args.checkpoint)}: adapt each by itself")
    return settings


def score_adapted(
    model: "RNNModel", corpus: "Corpus", part: "Part", settings: AdaptiveSettings, tune: str | None
) -> tuple[list["Tensor"], dict[str, Any]]:
    """The cost in nats of every scored character of the part, in segments, under learning weights; and the settings.

    The settings are as JSON has them. `corpus` is of the training text, `tune` a part of it to tune on.
    """
    from lstmlm.evaluation.baselines import take_last
    from lstmlm.evaluation.dynamic import collect_gradient_statistics, find_best, score_adaptive, try_rates
    from lstmlm.evaluation.scoring import sum_scores, take_first

    lr, decay = settings.lr, settings.decay
    if tune and corpus.hashes[tune] == part.split_hash:
        raise BadInput(f"--adapt-tune: {tune} is the text that is scored: choose another part")
    train = corpus.pieces("train")
    statistics = collect_gradient_statistics(model, take_last(train, STATISTICS), settings.steps)
    about: dict[str, Any] = {"tuned_on": None}
    if tune:
        pieces = take_last(train, TUNED) if tune == "train" else take_first(corpus.pieces(tune), TUNED)
        if not any(len(piece) > 1 for piece in pieces):
            raise BadInput(f"--adapt-tune: {tune} has no 2 characters: choose another part")
        scores = try_rates(model, pieces, statistics, lr, decay)
        lr, decay = find_best(scores)
        about = {"tuned_on": tune, "tuned_chars": scores[lr, decay].num_chars, "tried": len(scores)}
    nats = list(score_adaptive(model, part.pieces, statistics, lr, decay))
    if not math.isfinite(sum_scores(nats).nats):
        raise Diverged("--adapt-lr: adapting diverged: lower it")
    return nats, asdict(settings) | {"lr": lr, "decay": decay} | about


def format_adaptive(row: dict[str, Any], words: str) -> list[str]:
    """For people: the figures in words, and how they came about."""
    how = " ".join(f"{spell_option(name)} {row[name]:g}" for name in SETTINGS)
    if row["tuned_on"]:
        how += f"; the first two the best of {row['tried']} on {row['tuned_chars']:,} characters of {row['tuned_on']}"
    lines = [f"adaptive: {words}, the weights learning from each segment after it is scored ({how})"]
    if row["tuned_on"] == "train":
        lines.append(
            "note: the model knows its training text by heart to a degree: settings chosen there may be too cautious"
        )
    return lines
