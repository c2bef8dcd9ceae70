"""Dynamic evaluation of a part of a run's text: gradient statistics, a choice of the rates, the score.

n = characters of a piece. dynamic.py has the method and the symbols.
"""

import math
from dataclasses import dataclass, replace

from torch import Tensor

from lstmlm.evaluation.baselines import take_last
from lstmlm.evaluation.dynamic import Statistics, collect_gradient_statistics, find_best, score_adaptive, try_rates
from lstmlm.evaluation.held_out import Part
from lstmlm.evaluation.online_rate import score_with_best_rate
from lstmlm.evaluation.scoring import sum_scores, take_first
from lstmlm.model.rnn_model import RNNModel
from lstmlm.settings.adaptive import LRS, TUNED_CHARS, AdaptiveSettings
from lstmlm.system.errors import BadInput, Diverged
from lstmlm.text.corpus import Corpus

ONLINE_CHARS = 10_000  # characters that are scored with every rate of LRS, unless the rate is given
STATISTICS_CHARS = 50_000  # characters at the end of the training text that the gradient statistics are taken from


@dataclass(frozen=True)
class Tuning:
    """How lr and decay were chosen on another part."""

    tuned_on: str  # a part of the run's text
    tuned_chars: int  # characters of it that were scored
    tried: int  # pairs of lr and decay


@dataclass(frozen=True)
class OnlineChoice:
    """How lr was chosen on the way."""

    chosen_of: tuple[float, ...]
    chosen_chars: int  # characters that were scored with all of them


@dataclass(frozen=True)
class AdaptiveScore:
    """The costs of a part under weights that learn on the way, and the settings that they were computed with."""

    nats: list[Tensor]  # the cost of every scored character, in order and in segments
    settings: AdaptiveSettings
    choice: Tuning | OnlineChoice | None  # None: the settings were given


def evaluate_part_adaptively(
    model: RNNModel,
    corpus: Corpus,
    part: Part,
    settings: AdaptiveSettings,
    tune_on: str | None,
    choose_lr: bool,
) -> AdaptiveScore:
    """Score a part of a text under weights that learn on the way.

    Args:
        model: its weights are afterwards what they were.
        corpus: the text that the model was trained on.
        settings: eta, lambda and T.
        tune_on: choose lr and decay on the first characters of this part of the run's text (of `train`, on the last).
        choose_lr: without `tune_on`, choose lr of LRS on the way.

    Raises BadInput if `tune_on` cannot be used, Diverged if the score is not finite.
    """
    if tune_on is not None and corpus.hashes[tune_on] == part.split_hash:
        raise BadInput(f"--adapt-tune: {tune_on} is the text that is scored: choose another part")
    statistics = collect_gradient_statistics(model, take_last(corpus.pieces("train"), STATISTICS_CHARS), settings.steps)
    choice: Tuning | OnlineChoice | None = None
    if choose_lr and tune_on is None:
        online = score_with_best_rate(model, part.pieces, statistics, LRS, settings.decay, ONLINE_CHARS)
        nats, settings = online.nats, replace(settings, lr=online.lr)
        choice = OnlineChoice(LRS, online.num_chars)
    else:
        if tune_on is not None:
            settings, choice = tune(model, corpus, tune_on, statistics, settings)
        nats = list(score_adaptive(model, part.pieces, statistics, settings.lr, settings.decay))
    if not math.isfinite(sum_scores(nats).nats):
        raise Diverged("--adapt-lr: adapting diverged: lower it")
    return AdaptiveScore(nats, settings, choice)


def tune(
    model: RNNModel, corpus: Corpus, which: str, statistics: Statistics, settings: AdaptiveSettings
) -> tuple[AdaptiveSettings, Tuning]:
    """The settings with the lr and the decay that have the lowest score on a part of the corpus."""
    pieces = corpus.pieces(which)
    pieces = take_last(pieces, TUNED_CHARS) if which == "train" else take_first(pieces, TUNED_CHARS)
    if not any(len(piece) > 1 for piece in pieces):
        raise BadInput(f"--adapt-tune: {which} has no 2 characters: choose another part")
    scores = try_rates(model, pieces, statistics, settings.lr, settings.decay)
    lr, decay = find_best(scores)
    tuning = Tuning(which, scores[lr, decay].num_chars, len(scores))
    return replace(settings, lr=lr, decay=decay), tuning
