"""The overrides of one run, composed outside of `hydra.main`: settings, what was typed, and the directory."""

from dataclasses import dataclass
from pathlib import Path

from lstmlm.settings.config import Config
from lstmlm.settings.hydra_session import hydra_session
from lstmlm.settings.hydra_yaml import parse_composed
from lstmlm.settings.overrides import check_words, explain_hydra_error, find_typed_settings, quote_free_text
from lstmlm.system.errors import BadInput

DIRECTORY = "hydra.run.dir"


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run; the overrides that gave them, and the settings that those `typed` a value for; the
    directory, and whether the user named it.
    """

    config: Config
    overrides: list[str]
    typed: dict[str, object]
    directory: Path
    named: bool


def compose_run(words: list[str]) -> RunSettings:
    """What `python train.py` makes of these overrides, for one run. BadInput for a mistake, as there."""
    import hydra
    from omegaconf import open_dict

    check_words(words)
    try:
        with hydra_session():
            composed = hydra.compose("config", quote_free_text(words, sweep=False), return_hydra_config=True)
            directory = Path(composed.hydra.run.dir)
            with open_dict(composed):
                del composed["hydra"]
            config = parse_composed(composed)
            own = [word for word in words if not word.startswith("hydra")]
            typed = find_typed_settings(config, own)
    except BadInput:
        raise
    except Exception as error:
        raise explain_hydra_error(error) from error
    return RunSettings(config, own, typed, directory, any(word.startswith(f"{DIRECTORY}=") for word in words))
