"""The score of pieces of text with a bar, for parts of a text that take a while."""

from collections.abc import Sequence

from torch import Tensor

from lstmlm.evaluation.scoring import Model, Score, iterate_nats, sum_scores
from lstmlm.system.bar import Bar

PATIENCE = 2  # seconds after which the bar appears


def score_with_bar(model: Model, pieces: Sequence[Tensor], about: str) -> Score:
    """Score the pieces of a part, each (n,), as `evaluate_pieces` does. On a terminal `about` stands before the bar."""
    total = sum(max(len(piece) - 1, 0) for piece in pieces)
    score = Score(0.0, 0)
    with Bar(total=total, desc=about, unit="char", delay=PATIENCE, leave=False) as bar:
        for nats in iterate_nats(model, pieces):
            score += sum_scores([nats])
            bar.update(len(nats))
    return score
