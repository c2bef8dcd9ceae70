"""`python train.py`: the settings from conf/ and the command line, through Hydra, and a run for each of them.

`compose_settings` gives the settings alone, to commands that take the same overrides.
"""

import argparse
import contextlib
import os
import re
import sys
from pathlib import Path

from lstmlm.config import Config
from lstmlm.errors import BadInput, exit_code_of, show_any_character
from lstmlm.grammar import hydra_value, is_hydra_value, parse, register_schema
from lstmlm.shipped import shipped
from lstmlm.sweep import STOPPED, Sweep

FREE_TEXT = (
    "data.path",
    "data.val_path",
    "data.test_path",
    "resume",
    "sample.prompt",
    "hydra.run.dir",
    "hydra.sweep.dir",
)


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


def swept_keys(words: list[str]) -> set[str]:
    """The settings that were given several values."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create().parse_overrides([word for word in words if word[:1] != "-"])
    return {override.get_key_element() for override in overrides if override.is_sweep_override()}


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
    from lstmlm.prepare import prepare
    from lstmlm.run import execute
    from lstmlm.rundir import claimed

    prepared = prepare(config)
    with claimed(chosen, named) as directory:
        execute(prepared, directory)


def go_on(config, typed: dict[str, object], chosen: Path, named: bool) -> None:
    """A run that was begun: in its own directory (resume=RUN_DIR), or from a file in a new one."""
    from lstmlm import checkpoint
    from lstmlm.resume import newest_good, resume
    from lstmlm.rundir import claimed, has_checkpoint

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


def typed_settings(config, task_overrides: list[str]) -> dict[str, object]:
    """The settings that the user gave a value, by themselves or through a group."""
    import hydra

    from lstmlm.config import flatten

    now, default = flatten(config), flatten(parse(hydra.compose("config")))
    named = {override.lstrip("+").partition("=")[0] for override in task_overrides}
    return {key: value for key, value in now.items() if key != "resume" and (key in named or value != default[key])}


def compose_settings(words: list[str]) -> Config:
    """The settings that `python train.py` with these overrides would have, for a command that makes no run.

    BadInput, in one line, where train.py would end with it, and for what concerns runs alone.
    """
    import hydra

    register_schema()
    for word in words:
        if re.match(r"\+*(resume|hydra\.[^=]*)=", word):
            raise BadInput(f"{word.partition('=')[0]}: has no effect here, where no run is made: leave it out")
    try:
        with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
            return parse(hydra.compose("config", quoted(words, sweep=False)))
    except Exception as error:
        raise user_error_of(error) from error


def quoted(argv: list[str], sweep: bool) -> list[str]:
    """The overrides, free text quoted, because Hydra's grammar stumbles over it's.txt, a,b.txt or foo(1).txt.

    In a sweep a comma lists choices, so there only the name of something that exists is quoted.
    """
    words = []
    for word in argv:
        key, equals, value = word.partition("=")
        if key.lstrip("+") in FREE_TEXT and not is_hydra_value(value) and (not sweep or os.path.exists(value)):
            word = f"{key}{equals}{hydra_value(value)}"
        words.append(word)
    return words


def user_error_of(error: Exception) -> Exception:
    """What Hydra says in many lines, in one of ours; anything else as it is."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    from lstmlm.config import unknown_key

    if isinstance(error, ValueError) and str(error).startswith("Only one of --run, --multirun"):
        return BadInput("-m: has no effect where nothing is run: leave it out, or leave out --cfg, --info and -sc")
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return error
    text = f"{error}\n{error.__cause__}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, name = error.missing_cfg_file.partition("/")
        if group == "hydra" and name.startswith("launcher/"):
            group, name = "hydra/launcher", name.removeprefix("launcher/")
            return BadInput(f"{group}={name}: is not installed: pip install hydra-{name}-launcher, or leave it out")
        return BadInput(f"{group}={name}: no such option: choose one of {', '.join(error.options)}")
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        hint = f"\"{key}='{value}'\"" if equals else f"{key}=VALUE"
        return BadInput(f"{error.override}: cannot be read as a setting: type {hint}")
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        key, _, values = match[1].partition("=")
        return BadInput(f"{match[1]}: several values are a sweep, python train.py -m; for a list type {key}=[{values}]")
    if match := re.search(r"Could not override '([^']+)'", text):
        return unknown_key(match[1])
    if match := re.search(r"(Value .*)\n\s*full_key: (\S+)", text):
        return BadInput(f"{match[2]}: {match[1][0].lower()}{match[1][1:]}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return BadInput(f"settings: {' '.join(lines[:2])}: python train.py --help lists them")


def refuse(parser: argparse.ArgumentParser, message: str):
    """What argparse calls on a mistake."""
    raise BadInput(f"{parser.prog}: {message}: {parser.prog} --help lists the options")
