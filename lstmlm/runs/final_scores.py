"""What came out of a run: its weights scored whole, on what, and what they cost."""

from lstmlm.checkpoints import checkpoint
from lstmlm.evaluation.scoring import Score, evaluate_pieces
from lstmlm.text.corpus import Corpus
from lstmlm.training.tracking import make_score_tags
from lstmlm.training.trainer import Trainer


def score_final_weights(trainer: Trainer, corpus: Corpus) -> dict[str, Score]:
    """The scores by split and weights: `val_last`, `val_ema` if an average is kept, `val_best`, `test_best`.

    The best weights are chosen by the validation text, so what they need for it is a little too good: to compare
    settings on it, take the last or the averaged ones, at the end of the run both. The test text is scored once, with
    the best weights, which afterwards are those of the model.
    """
    model, scores = trainer.model, {}
    if trainer.best["step"] != trainer.step:
        scores["val_last"] = evaluate_pieces(model, corpus.pieces("val"))
    if trainer.average is not None:
        model.load_book_weights(trainer.average.to_book())
        scores["val_ema"] = evaluate_pieces(model, corpus.pieces("val"))
    model.load_book_weights(checkpoint.load_checkpoint(trainer.directory / checkpoint.BEST).weights)
    for which in ("val", "test"):
        if len(corpus.ids[which]) > 1:
            scores[f"{which}_best"] = evaluate_pieces(model, corpus.pieces(which))
    return {"val_last": scores["val_best"]} | scores


def collect_final_figures(
    trainer: Trainer, corpus: Corpus, scores: dict[str, Score], cpu_seconds: float | None
) -> dict:
    """The last line of metrics.jsonl. `cpu_seconds` are those until the end of training."""
    figures = {"step": trainer.step, "best_step": trainer.best["step"], "best_epoch": trainer.best["progress/epoch"]}
    for name, score in scores.items():
        figures |= make_score_tags(name, score)
        figures[f"bpb/{name}"] = score.bits_per_char / corpus.bytes_per_char(name.partition("_")[0])
    figures |= {"split": corpus.split.name, "hashes": corpus.hashes}
    return figures | {
        "seconds": trainer.seconds,
        "cpu_seconds": cpu_seconds,
        "chars_per_s": trainer.chars_per_second,
    }
