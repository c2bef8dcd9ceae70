"""`python train.py`: the settings from conf/ and the command line, through Hydra, and a run for each of them."""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from lstmlm.runs.sweep import STOPPED, Sweep
from lstmlm.settings.hydra_yaml import parse_composed, register_schema
from lstmlm.settings.overrides import (
    explain_hydra_error,
    find_swept_keys,
    find_typed_settings,
    quote_free_text,
    raise_bad_option,
)
from lstmlm.system.errors import BadInput, make_streams_safe, run_to_exit_code
from lstmlm.system.paths import find_shipped


def train(argv: list[str]) -> int:
    """Compose the settings from conf/ and the overrides in `argv`, train, return the exit code.

    In a sweep every job runs, whatever becomes of the others, and the worst code is returned.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the line is ours
    if sys.version_info >= (3, 14):  # Hydra 1.3 gives argparse a help that is not a str (hydra#3121)
        argparse.ArgumentParser._check_help = lambda self, action: None
    argparse.ArgumentParser.error = raise_bad_option  # Hydra's parser too complains in one line, without its usage
    register_schema()
    make_streams_safe()
    # Argparse takes overrides in one stretch, so the one flag that people put among them goes first
    flags = [word for word in argv if word in ("-m", "--multirun")][:1]
    sweeps = bool(flags) or "hydra.mode=MULTIRUN" in argv
    words = quote_free_text([word for word in argv if word not in flags], sweeps)
    sys.argv[1:] = flags + words
    codes = [0]
    sweep = Sweep() if sweeps else None

    @hydra.main(version_base="1.3", config_path=str(find_shipped("conf")), config_name="config")
    def job(composed) -> None:
        if sweep is None:
            codes.append(run_to_exit_code(lambda: run_job(composed)))
            return
        settings = HydraConfig.get()
        directory = shorten_path(Path(settings.sweep.dir))
        own = [word for word in settings.overrides.task if word.partition("=")[0] in find_swept_keys(words)]
        code = sweep.run(lambda: run_job(composed), settings.job.num, own, directory)
        if code in STOPPED and not sweep.is_elsewhere():
            sys.exit(code)  # a signal ends a sweep; anything else lets it go on

    def compose_and_run() -> None:
        try:
            job()
        except SystemExit as end:  # our own, above, or argparse's after --help
            codes.append(end.code if isinstance(end.code, int) else 0)
        except Exception as error:
            raise explain_hydra_error(error) from error

    codes.append(run_to_exit_code(compose_and_run))
    if sweep is not None:
        codes.append(run_to_exit_code(lambda: codes.extend(sweep.close())))
    return max(codes)


def shorten_path(path: Path) -> Path:
    """A path as the user would type it: from where the user stands, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_job(composed) -> None:
    """One run, in the directory that Hydra made for it or in the one that it goes on in."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    settings = HydraConfig.get()
    chosen = shorten_path(Path(settings.runtime.output_dir))
    typed = {override.partition("=")[0] for override in settings.overrides.hydra}
    try:
        config = parse_composed(composed)
        # The jobs of a sweep are numbered: when it is started again, each looks for its own directory
        swept = settings.mode == RunMode.MULTIRUN
        again = swept and config.resume == "auto"
        if swept and not again and config.resume is not None and Path(config.resume).is_dir():
            raise BadInput(
                f"resume: {config.resume}: the jobs of a sweep have directories of their own: leave out -m, or give a "
                f"file, resume={Path(config.resume) / 'last.safetensors'}"
            )
        named = ("hydra.sweep.dir" if again else "hydra.run.dir") in typed
        # Torch is imported here, after all that needs no torch was checked
        if config.resume is None:
            start_run(config, chosen, named)
        else:
            resume_run(config, find_typed_settings(config, settings.overrides.task), chosen, named)
    finally:
        with contextlib.suppress(OSError):
            chosen.rmdir()  # only if it is empty: nothing came of it, or the run is elsewhere


def start_run(config, chosen: Path, named: bool) -> None:
    """A new run."""
    from lstmlm.runs.assemble import execute
    from lstmlm.runs.prepare import prepare
    from lstmlm.runs.run_directory import claim_directory

    prepared = prepare(config)
    with claim_directory(chosen, named) as directory:
        execute(prepared, directory)


def resume_run(config, typed: dict[str, object], chosen: Path, named: bool) -> None:
    """A run that was begun: in its own directory (resume=RUN_DIR), or from a file in a new one."""
    from lstmlm.checkpoints import checkpoint
    from lstmlm.runs.resume import load_newest_good, resume
    from lstmlm.runs.run_directory import claim_directory, has_checkpoint

    source = chosen if config.resume == "auto" else Path(config.resume)
    if config.resume == "auto" and not named:
        raise BadInput("resume: auto needs a directory to look in: add hydra.run.dir=DIR, or hydra.sweep.dir=DIR")
    if config.resume == "auto" and not has_checkpoint(chosen):
        config.resume = None
        return start_run(config, chosen, named)
    if source.is_dir():
        with claim_directory(source, named, resuming=True) as directory:
            resume(load_newest_good(directory), typed, directory, in_place=True)
        return None
    loaded = checkpoint.load_checkpoint(source)
    with claim_directory(chosen, named) as directory:
        resume(loaded, typed, directory, in_place=False)
    return None
