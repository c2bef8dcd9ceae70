"""Resuming a run: from which checkpoint, and under which settings."""

import logging
import os
from dataclasses import replace
from pathlib import Path

from lstmlm.checkpoints import checkpoint
from lstmlm.checkpoints.checkpoint import CONVERTED, Checkpoint
from lstmlm.checkpoints.files import BEST, LAST, PREVIOUS
from lstmlm.distributed.ranks import ONE_PROCESS, Ranks
from lstmlm.runs.assemble import make_limits, make_streams
from lstmlm.runs.execute import execute
from lstmlm.runs.prepare import Prepared, prepare
from lstmlm.settings.check import config_from_flat
from lstmlm.settings.config import SETTINGS, Config
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import BadInput
from lstmlm.text.folder import match_pattern
from lstmlm.text.identity import explain_other_parts
from lstmlm.training import metrics

# Where the text of a run is looked for, if data.path cannot say so
PLACES = {"tide_clock": "a checkout that has it"}

log = logging.getLogger("lstmlm")


# Which checkpoint


def load_newest_good(directory: Path) -> Checkpoint:
    """The newest undamaged checkpoint of a run; a warning names each that is damaged. BadInput if all are."""
    there = [directory / name for name in (LAST, PREVIOUS, BEST) if (directory / name).exists()]
    for path in there:
        try:
            return checkpoint.load_checkpoint(path)
        except BadInput as error:
            log.warning("warning: %s: trying the one before", error)
    if there:
        raise BadInput(f"resume: no usable checkpoint in {directory} ({len(there)} damaged): start a new run elsewhere")
    raise BadInput(f"resume: no checkpoint in {directory}: give a run directory or a .safetensors file")


# Under which settings


def settings_to_resume(loaded: Checkpoint, typed: dict[str, object]) -> Config:
    """The checkpoint's settings, with those that the user typed and may change; BadInput names one that may not."""
    stored = flatten(config_from_flat(flatten(loaded.record["config"])))
    if typed.get("threads") == "auto":  # the run's first start has chosen
        typed = {key: value for key, value in typed.items() if key != "threads"}
    refused = [key for key, value in typed.items() if not SETTINGS[key].may_change and stored.get(key) != value]
    if refused:
        differences = ", ".join(f"{key} is {stored.get(key)!r} in the run, {typed[key]!r} now" for key in refused)
        raise BadInput(f"resume: {differences}: leave it out, or start a new run")
    return config_from_flat(stored | {key: value for key, value in typed.items() if SETTINGS[key].may_change})


def resume(
    loaded: Checkpoint,
    typed: dict[str, object],
    directory: Path,
    source: Path,
    in_place: bool,
    ranks: Ranks = ONE_PROCESS,
) -> None:
    """Resume from a checkpoint in `directory`, in place or as a new run. A run that has finished is left as it is.

    `source` is the run or the file as the user named it. `ranks` are the other processes of the run.
    """
    if loaded.record["data"]["name"] == CONVERTED:
        raise BadInput("resume: the checkpoint was converted: it has no text and no optimizer to resume with")
    config = settings_to_resume(loaded, typed)
    try:
        prepared = prepare(config, ranks.share.count)
    except BadInput:
        if moved := find_moved_text(config):
            place = f"resume: the text of the run is not at {moved[1]}: say where it is with {moved[0]}=FILE"
            raise BadInput(place) from None
        raise
    check_same_text(loaded, prepared, source)
    prepared = replace(prepared, started_from=loaded.record.get("started_from"))
    step, limits = loaded.record["step"], make_limits(config)
    before = make_limits(config_from_flat(flatten(loaded.record["config"])))
    per_epoch = make_streams(prepared).steps_per_epoch
    loop = loaded.record["loop"]
    reached = limits.list_reached(step, per_epoch, loop["seconds"], loop.get("evaluations_since_best", 0))
    if reached and (not in_place or metrics.read_final(directory / metrics.NAME) is not None):
        names = " and ".join(f"train.{name}={getattr(limits, name)}" for name in reached)
        log.info(
            "the run has finished at step %d, at %s: raise %s to continue",
            step,
            names,
            "it" if len(reached) == 1 else "them",
        )
        return
    log.info("resuming from step %d, epoch %.1f", step, loaded.record["epoch"])
    steps = before.count_steps(per_epoch), limits.count_steps(per_epoch)
    for line in list_differences(loaded, config, ranks.share.count, *steps):
        log.info("%s", line)
    execute(prepared, directory, loaded, ranks=ranks)


def find_moved_text(config: Config) -> tuple[str, str] | None:
    """(setting, path) of the first text of the run that is not there; None if all are."""
    for name, path in flatten(config).items():
        is_text = name.startswith("data.") and SETTINGS[name].is_path and path is not None
        if is_text and not os.path.exists(path) and next(match_pattern(path), None) is None:
            return name, path
    return None


def check_same_text(loaded: Checkpoint, prepared: Prepared, source: Path) -> None:
    """BadInput if the SHA-256 of the text or of one of its parts, or the vocabulary, is not that of the run."""
    origin = prepared.corpus.origin
    if origin.sha256 != loaded.record["data"]["sha256"]:
        raise BadInput(
            f"resume: {origin.path} is not the text of the run, its SHA-256 differs: say where the old one is with "
            f"{PLACES.get(origin.name, 'data.path=FILE')}, or, for a text that was changed or has grown, start a new "
            f"run from the trained weights: init_from={source} in place of resume={source}"
        )
    if why := explain_other_parts(loaded.record["data"], loaded.record["vocab"], prepared.corpus):
        raise BadInput(f"resume: {why}")


def list_differences(
    loaded: Checkpoint, config: Config, processes: int, steps_before: int | None, steps_now: int | None
) -> list[str]:
    """A line for each reason why the run will not continue bit for bit, or not with the same schedule."""
    stored = flatten(loaded.record["config"])
    keys = ("backend", "device", "threads")
    now = checkpoint.collect_versions() | {key: flatten(config)[key] for key in keys} | {"processes": processes}
    then = loaded.record["versions"] | {key: stored[key] for key in keys}
    then |= {"processes": loaded.record.get("processes", 1)}
    matters = [key for key in ("torch", "cpu", *keys, "processes") if now[key] != then[key]]
    lines = [f"from here on not bit for bit: {key} is {now[key]}, was {then[key]}" for key in matters]
    if steps_before != steps_now and (config.train.schedule != "constant" or config.train.warmup > 0):
        lines.append(f"the horizon of the schedule changes from {steps_before} steps to {steps_now}")
    return lines
