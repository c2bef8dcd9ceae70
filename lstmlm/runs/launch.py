"""`python train.py`: the settings from conf/ and the command line, through Hydra, and a run for each of them.
"""

import argparse
import contextlib
import os
import re
import sys
from pathlib import Path

from lstmlm.settings.config import Config
from lstmlm.system.errors import BadInput, exit_code_of, show_any_character
from lstmlm.settings.hydra_yaml import parse, register_schema
from lstmlm.settings.overrides import quoted, refuse, swept_keys, typed_settings, user_error_of
from lstmlm.system.paths import shipped
from lstmlm.runs.sweep import STOPPED, Sweep



def train(argv: list[str]) -> int:
    """Compose the settings from conf/ and the overrides in `argv`, train, return the exit code.

    In a sweep every job runs, whatever becomes of the others, and the worst code is returned.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the line is ours
    if sys.version_info >= (3, 14):  # Hydra 1.3 gives argparse a help that is not a str (hydra#3121)
        argparse.ArgumentParser._check_help = lambda self, action: None
    argparse.ArgumentParser.error = refuse  # Hydra's parser too complains in one line, without its usage
    register_schema()
    show_any_character()
    # Argparse takes overrides in one stretch, so the one flag that people put among them goes first
    flags = [word for word in argv if word in ("-m", "--multirun")][:1]
    sweeps = bool(flags) or "hydra.mode=MULTIRUN" in argv
    words = quoted([word for word in argv if word not in flags], sweeps)
    sys.argv[1:] = flags + words
    codes = [0]
    sweep = Sweep() if sweeps else None

    @hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
    def job(composed) -> None:
        if sweep is None:
            codes.append(exit_code_of(lambda: train_job(composed)))
            return
        settings = HydraConfig.get()
        directory = as_typed(Path(settings.sweep.dir))
        own = [word for word in settings.overrides.task if word.partition("=")[0] in swept_keys(words)]
        code = sweep.run(lambda: train_job(composed), settings.job.num, own, directory)
        if code in STOPPED and not sweep.is_elsewhere():
            sys.exit(code)  # a signal ends a sweep; anything else lets it go on

    def compose_and_run() -> None:
        try:
            job()
        except SystemExit as end:  # our own, above, or argparse's after --help
            codes.append(end.code if isinstance(end.code, int) else 0)
        except Exception as error:
            raise user_error_of(error) from error

    codes.append(exit_code_of(compose_and_run))
    if sweep is not None:
        codes.append(exit_code_of(lambda: codes.extend(sweep.close())))
    return max(codes)




def as_typed(path: Path) -> Path:
    """A path as the user would type it: from where the user stands, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def train_job(composed) -> None:
    """One run, in the directory that Hydra made for it or in the one that it goes on in."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    settings = HydraConfig.get()
    chosen = as_typed(Path(settings.runtime.output_dir))
    typed = {override.partition("=")[0] for override in settings.overrides.hydra}
    try:
        config = parse(composed)
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
            start(config, chosen, named)
        else:
            go_on(config, typed_settings(config, settings.overrides.task), chosen, named)
    finally:
        with contextlib.suppress(OSError):
            chosen.rmdir()  # only if it is empty: nothing came of it, or the run is elsewhere


def start(config, chosen: Path, named: bool) -> None:
    """A new run."""
    from lstmlm.runs.prepare import prepare
    from lstmlm.runs.assemble import execute
    from lstmlm.runs.run_directory import claimed

    prepared = prepare(config)
    with claimed(chosen, named) as directory:
        execute(prepared, directory)


def go_on(config, typed: dict[str, object], chosen: Path, named: bool) -> None:
    """A run that was begun: in its own directory (resume=RUN_DIR), or from a file in a new one."""
    from lstmlm.checkpoints import checkpoint
    from lstmlm.runs.resume import newest_good, resume
    from lstmlm.runs.run_directory import claimed, has_checkpoint

    source = chosen if config.resume == "auto" else Path(config.resume)
    if config.resume == "auto" and not named:
        raise BadInput("resume: auto needs a directory to look in: add hydra.run.dir=DIR, or hydra.sweep.dir=DIR")
    if config.resume == "auto" and not has_checkpoint(chosen):
        config.resume = None
        return start(config, chosen, named)
    if source.is_dir():
        with claimed(source, named, resuming=True) as directory:
            resume(newest_good(directory), typed, directory, in_place=True)
        return None
    loaded = checkpoint.load(source)
    with claimed(chosen, named) as directory:
        resume(loaded, typed, directory, in_place=False)
    return None










