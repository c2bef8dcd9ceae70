"""The closing lines of the book's run (d2l section 9.5), and the held-out perplexities that the book does not show."""

import logging

from lstmlm.evaluation.scoring import evaluate_pieces
from lstmlm.generation.from_model import generate
from lstmlm.text.corpus import Corpus
from lstmlm.training.trainer import Trainer

log = logging.getLogger("lstmlm")

PREFIXES = ("time traveller", "traveller")
NUM_PREDS = 50


def log_book_report(trainer: Trainer, corpus: Corpus) -> dict[str, float]:
    """Log d2l's line and its two greedy continuations, from the last weights, then the perplexities on whole splits.

    The book's perplexity is of the training text, summed while the weights moved through the last epoch. Returns
    it, and the last weights' perplexities on whole splits, each one stream from the zero state.
    """
    model, state = trainer.learner.model, trainer.state
    book = state.this_epoch.score.perplexity
    log.info("")
    log.info("perplexity %.1f, %.1f tokens/sec on %s", book, trainer.chars_per_second, model.W_hq.device.type)
    for prefix in PREFIXES:
        if not corpus.vocab.find_unknown(prefix):
            log.info("%s", generate(model, corpus.vocab, prefix, NUM_PREDS, temperature=0, seed=0))
    there = [which for which, part in corpus.ids.items() if len(part) > 1]
    scores = {which: evaluate_pieces(model, corpus.pieces(which)).perplexity for which in there}
    log.info("what the book does not show, of the same weights, in one pass over each part:")
    log.info("  the text it was trained on: perplexity %.2f", scores["train"])
    log.info("  the text after it (val): perplexity %.1f", scores["val"])
    if "test" in scores:
        log.info("  the end of the text (test): perplexity %.1f", scores["test"])
    log.info("val was best at epoch %.0f: perplexity %.2f", state.best["progress/epoch"], state.best["ppl/val"])
    return {"ppl/book": book} | {f"ppl/{which}_last": value for which, value in scores.items()}
