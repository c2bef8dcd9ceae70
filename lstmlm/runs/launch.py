"""`python train.py`: the settings from conf/ and the command line, through Hydra, and a run for each of them."""

import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstmlm.distributed.place import find_place
from lstmlm.runs.find import find_resumed
from lstmlm.runs.inherit import inherit_settings
from lstmlm.runs.sweep import STOPPED, Sweep, explain_lost_job
from lstmlm.settings.config import Config
from lstmlm.settings.help import format_help
from lstmlm.settings.hydra_main import call_hydra_main
from lstmlm.settings.hydra_yaml import parse_composed, register_schema
from lstmlm.settings.overrides import (
    check_words,
    count_jobs,
    explain_hydra_error,
    find_swept_keys,
    find_typed_settings,
    quote_free_text,
)
from lstmlm.system.errors import BadInput, advise_on_memory, make_streams_safe, run_to_exit_code
from lstmlm.system.interrupts import exit_on_interrupt, leave_report_to_another_process

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lstmlm.distributed.ranks import Ranks

HELP = {"-h", "--help"}
MEMORY_ADVICE = "lower data.batch_size or model.num_hiddens"


def train(argv: list[str]) -> int:
    """Compose the settings from conf/ and the overrides in `argv`, train, return the exit code.

    In a sweep every job runs, even after one that failed, and the highest exit code is returned. Of the processes that
    torchrun starts, rank 0 does this, and the others follow it.
    """
    place = find_place()
    if place is None:
        return train_with(argv, None)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a warning of torch when others are lost is a page long
    if place.rank:
        os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported
        leave_report_to_another_process()
    with exit_on_interrupt():
        from lstmlm.runs.several import follow, lead

    return follow(place) if place.rank else lead(place, lambda ranks: train_with(argv, ranks))


def train_with(argv: list[str], ranks: "Ranks | None") -> int:
    """`train` in the process that leads the others, `ranks`, or is alone."""
    with exit_on_interrupt():
        from hydra.core.hydra_config import HydraConfig

        register_schema()
    make_streams_safe()
    if HELP.intersection(argv):
        return run_to_exit_code(lambda: print(format_help([word for word in argv if word[:1] != "-"])))
    # argparse takes the overrides as one stretch of words, so -m, which users type among them, is moved to the front
    flags = [word for word in argv if word in ("-m", "--multirun")][:1]
    sweeps = bool(flags) or "hydra.mode=MULTIRUN" in argv
    words: list[str] = []
    codes = [0]
    sweep = Sweep() if sweeps else None

    def job(composed: "DictConfig") -> None:
        if sweep is None:
            typed = [word for word in argv if word[:1] != "-"]
            codes.append(run_to_exit_code(lambda: run_job(composed, typed, ranks)))
            return
        settings = HydraConfig.get()
        directory = shorten_path(Path(settings.sweep.dir))
        own = [word for word in settings.overrides.task if word.partition("=")[0] in find_swept_keys(words)]
        code = sweep.run(
            lambda: run_job(composed, list(settings.overrides.task), ranks), settings.job.num, own, directory
        )
        if code in STOPPED and not sweep.is_elsewhere():
            sys.exit(code)  # a signal ends the sweep; after any other failure the next job runs

    def compose_and_run() -> None:
        given = [word for word in argv if word not in flags]
        check_words(given)
        launcher = next((word for word in given if word.startswith("hydra/launcher=")), None)
        if ranks is not None and launcher is not None:
            raise BadInput(f"{launcher}: torchrun has started the processes: leave one of the two out")
        words.extend(quote_free_text(given, sweeps))
        try:
            if sweep is not None:
                sweep.total = count_jobs([word for word in words if "=" in word])  # not `--cfg job`
                if launcher is not None:
                    sweep.share_outcomes()
            call_hydra_main(flags + words, job)
        except SystemExit as end:  # the one above, or argparse's after --help
            codes.append(end.code if isinstance(end.code, int) else 0)
        except Exception as error:
            raise explain_lost_job(explain_hydra_error(error)) from error

    codes.append(run_to_exit_code(compose_and_run))
    if sweep is not None:
        codes.append(run_to_exit_code(lambda: codes.extend(sweep.close())))
    return max(codes)


def shorten_path(path: Path) -> Path:
    """A path as the user would type it: from where the user stands, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_job(composed: "DictConfig", typed: list[str], ranks: "Ranks | None") -> None:
    """Start a run from composed settings, or resume the one that they name. `typed` are the overrides that gave them,
    `ranks` the other processes of the run.

    Nothing stays of the directory that Hydra made if the run does not use it.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    settings = HydraConfig.get()
    chosen = shorten_path(Path(settings.runtime.output_dir))
    try:
        config = parse_composed(composed)
        swept = settings.mode == RunMode.MULTIRUN
        if swept:
            check_resume_in_sweep(config)
        # With resume=auto, the jobs of a sweep that is started again find their directories by their numbers
        key = "hydra.sweep.dir" if swept and config.resume == "auto" else "hydra.run.dir"
        named = key in {override.partition("=")[0] for override in settings.overrides.hydra}
        is_plain = config.resume is None and config.init_from is None
        given = {} if is_plain else find_typed_settings(config, settings.overrides.task)
        if config.resume is None:
            start_run(inherit_settings(config, given), typed, chosen, named, ranks)
        else:
            resume_run(config, given, chosen, named, ranks)
    finally:
        with contextlib.suppress(OSError):
            chosen.rmdir()  # only if it is empty


def check_resume_in_sweep(config: Config) -> None:
    """BadInput if every job of a sweep would resume in one directory."""
    if config.resume in (None, "auto"):
        return
    if (found := find_resumed(config.resume)).is_dir():
        raise BadInput(
            f"resume: {config.resume}: the jobs of a sweep have directories of their own: leave out -m, or give a "
            f"file, resume={found / 'last.safetensors'}"
        )


# Torch is imported in these two, so that a mistake in the settings is found before


@advise_on_memory(MEMORY_ADVICE)
def start_run(config: Config, typed: list[str] | None, chosen: Path, named: bool, ranks: "Ranks | None" = None) -> Path:
    """A new run in the directory `chosen`, or, if the user has not `named` it, in one beside it that is free.

    `typed` are the overrides that gave the settings, None if they are not known; `ranks` are the other processes of the
    run. Returns the directory, which Stopped has too.
    """
    with exit_on_interrupt(chosen):
        from lstmlm.distributed.ranks import ONE_PROCESS
        from lstmlm.runs.execute import execute
        from lstmlm.runs.prepare import add_start, prepare
        from lstmlm.runs.run_directory import claim_directory

    others = ranks or ONE_PROCESS
    others.connect()
    prepared = add_start(prepare(config, others.share.count))
    with claim_directory(chosen, named) as directory:
        execute(prepared, directory, typed=typed, ranks=others)
    return directory


@advise_on_memory(MEMORY_ADVICE)
def resume_run(
    config: Config, typed: dict[str, object], chosen: Path, named: bool, ranks: "Ranks | None" = None
) -> Path:
    """Resume as `config.resume` says: `auto`, the newest checkpoint in `chosen`, or a new run if there is none; a run
    directory, in place; or a checkpoint file, as a new run in `chosen`.

    `typed` are the settings that the user gave a value. The rest is as in `start_run`.
    """
    with exit_on_interrupt(chosen):
        from lstmlm.checkpoints import checkpoint
        from lstmlm.distributed.ranks import ONE_PROCESS
        from lstmlm.runs.resume import load_newest_good, resume
        from lstmlm.runs.run_directory import claim_directory, has_checkpoint

    others = ranks or ONE_PROCESS
    if config.resume == "auto":
        if not named:
            raise BadInput("resume: auto needs a directory to look in: add hydra.run.dir=DIR, or hydra.sweep.dir=DIR")
        if not has_checkpoint(chosen):
            return start_run(inherit_settings(replace(config, resume=None), typed), None, chosen, named, ranks)
    source = chosen if config.resume == "auto" else find_resumed(str(config.resume))
    others.connect()
    if source.is_dir():
        with claim_directory(source, named, resuming=True) as directory:
            resume(load_newest_good(directory), typed, directory, source, True, others)
    else:
        loaded = checkpoint.load_checkpoint(source)
        with claim_directory(chosen, named) as directory:
            resume(loaded, typed, directory, source, False, others)
    return directory
