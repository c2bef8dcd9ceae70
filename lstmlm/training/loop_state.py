"""The loop as it was: all that a Trainer holds, into a checkpoint and out of it, bit for bit."""

from dataclasses import astuple

from lstmlm.checkpoints.checkpoint import Checkpoint
from lstmlm.layers.contract import Tensors
from lstmlm.system.dotted import under
from lstmlm.training.meter import Reading
from lstmlm.training.optim import moments_from_book, moments_to_book


def capture(trainer) -> tuple[Tensors, dict]:
    """All that a Trainer holds, as tensors and as a record: restoring it gives the same run, bit for bit."""
    tensors = {f"optimizer.{name}": t for name, t in moments_to_book(trainer.model, trainer.optimizer).items()}
    if trainer.average is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in trainer.average.to_book().items()}
    tensors |= {f"run.carried.{k}": part.detach() for k, part in enumerate(trainer.state or ())}
    tensors["run.meter"] = trainer.meter.sums.clone()
    tensors["run.epoch_start"] = trainer.epoch_start.clone()
    if trainer.model.dropout_generator is not None:
        tensors["run.dropout"] = trainer.model.dropout_generator.get_state()
    record = {
        "step": trainer.step,
        "epoch": trainer.step / trainer.epoch_steps,
        "metrics": trainer.best,
        "loop": {
            "batch": trainer.batch,
            "chars": trainer.chars,
            "meter_chars": trainer.meter.chars,
            "meter_steps": trainer.meter.steps,
            "since_evaluation": astuple(trainer.since_evaluation),
            "this_epoch": astuple(trainer.this_epoch),
            "evaluations_since_best": trainer.evaluations_since_best,
            "seconds": trainer.seconds,
            "training_seconds": trainer.training_seconds,
        },
    }
    if trainer.cpu_seconds is not None:
        record["loop"]["cpu_seconds"] = trainer.cpu_seconds
    return tensors, record


def restore(trainer, loaded: Checkpoint) -> None:
    """Put the trainer, freshly made for the same settings on any backend, where the checkpoint was written.

    KeyError or RuntimeError if the checkpoint's state is not that of such a trainer.
    """
    tensors, loop = under("run.", loaded.tensors), loaded.record["loop"]
    device = trainer.streams.device
    trainer.model.load_book_weights(loaded.weights)
    moments_from_book(trainer.model, trainer.optimizer, loaded.optimizer)
    if trainer.average is not None:
        trainer.average.from_book(under("ema.", loaded.tensors))
    carried = under("carried.", tensors)
    trainer.state = tuple(carried[str(k)].to(device) for k in range(len(carried))) or None
    zeros = trainer.model.begin_state(trainer.streams.batch_size, device)
    if trainer.state is not None and [part.shape for part in trainer.state] != [zero.shape for zero in zeros]:
        raise RuntimeError("the carried state is that of another model or batch")
    trainer.meter.sums.copy_(tensors["meter"])
    trainer.epoch_start = tensors["epoch_start"]
    if "dropout" in tensors and trainer.model.dropout_generator is not None:
        trainer.model.dropout_generator.set_state(tensors["dropout"])
    trainer.step, trainer.batch, trainer.chars = loaded.record["step"], loop["batch"], loop["chars"]
    trainer.meter.chars, trainer.meter.steps = loop["meter_chars"], loop["meter_steps"]
    trainer.since_evaluation, trainer.this_epoch = Reading(*loop["since_evaluation"]), Reading(*loop["this_epoch"])
    best = loaded.record["metrics"]
    trainer.best = {key: float(value) if isinstance(value, str) else value for key, value in best.items()}
    trainer.evaluations_since_best = loop.get("evaluations_since_best", 0)  # older files lack it
    trainer.started -= loop["seconds"]
    trainer.cpu_started = trainer.cpu_started - loop["cpu_seconds"] if "cpu_seconds" in loop else None
    trainer.training_seconds = loop["training_seconds"]
