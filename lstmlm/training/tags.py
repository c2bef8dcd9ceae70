"""The names of figures in TensorBoard and metrics.jsonl: loss, bpc and ppl of a split, and the baseline."""

from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import Score


def make_score_tags(split: str, score: Score) -> dict[str, float]:
    """loss (nats per character), bpc (bits per character) and ppl (perplexity) of one split."""
    return {
        f"loss/{split}": score.nats_per_char,
        f"bpc/{split}": score.bits_per_char,
        f"ppl/{split}": score.perplexity,
    }


def make_baseline_tags(baseline: Baseline, lowest: float) -> dict[str, float]:
    """The loss of the best n-gram, in nats per character, and whether the lowest loss/val so far is below it."""
    return {"baseline/ngram": baseline.nats_per_char, "baseline/passed": float(lowest < baseline.nats_per_char)}
