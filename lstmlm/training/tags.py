"""The names of figures in metrics.jsonl and TensorBoard: loss, bpc and ppl of a split, and the baseline."""

from lstmlm.evaluation.baselines import Baseline
from lstmlm.evaluation.scoring import Score
from lstmlm.evaluation.units import compute_perplexity


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


def name_curves(figures: dict[str, float]) -> dict[str, float]:
    """The figures that TensorBoard draws, under its names. It sorts charts by name, so the loss is first.

    Bits are left out, because their curves are those of the loss in another unit.
    """
    curves: dict[str, float] = {}
    for tag, value in figures.items():
        if tag == "baseline/ngram":
            curves |= {"loss/ngram": value, "ppl/ngram": compute_perplexity(value)}
        elif not tag.startswith(("bpc/", "bpb/", "baseline/")):
            curves["network/" + tag if tag.startswith("gates/") else tag] = value
    return curves
