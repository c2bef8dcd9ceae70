"""Which run or model RUN_OR_CHECKPOINT names: a path, `latest`, or a model that ships. No torch.

RUN_OR_CHECKPOINT left out means `latest`.

The latest run is the one that was written to last: a run that is resumed becomes the latest again.
"""

import difflib
from pathlib import Path

from lstmlm.checkpoints.files import BEST, LAST, find_checkpoint
from lstmlm.checkpoints.shipped import list_shipped
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path

LATEST = "latest"
ROOT = Path("runs")  # where hydra.run.dir and hydra.sweep.dir of conf/config.yaml put runs
WRITTEN = (LAST, "metrics.jsonl", "config.yaml")  # the files whose times say when a run was written to


def find_weights(given: str | Path | None, which: str = BEST) -> Path:
    """The checkpoint file that RUN_OR_CHECKPOINT names: the file itself, or `which` of a run directory.

    BadInput where there is none; for a name that does not exist it lists the nearest runs.
    """
    return find_checkpoint(find_run(given, which), which)


def find_run(given: str | Path | None, which: str = BEST) -> Path:
    """The run directory or file of that name; for `latest` or None the latest run that has a file `which`.

    A path that exists comes first, even if it is called latest; then a run in runs/; `latest`; and a model that ships
    (lstmlm models), whose file it is. BadInput for another name.
    """
    path = Path(LATEST if given is None else given)
    if given is not None and path.exists():
        return path
    if given is not None and (ROOT / path / "config.yaml").exists():
        return ROOT / path
    if str(path) == LATEST:
        return find_latest(which)
    if str(path) in (shipped := list_shipped()):
        return shipped[str(path)]
    raise BadInput(f"checkpoint: no such file: {path}: {suggest_runs(path.name)}")


def find_resumed(given: str) -> Path:
    """The run directory or checkpoint file that resume= names. BadInput if there is none, or for a model that ships."""
    try:
        path = find_run(expand_path(given, "resume"), LAST)
    except BadInput as error:
        raise BadInput(f"resume: {str(error).removeprefix('checkpoint: ').removeprefix('resume: ')}") from None
    if path.absolute() in list_shipped().values():
        raise BadInput(f"resume: {given} is a model that ships, with weights alone: start from it: init_from={given}")
    return path


def find_latest(which: str) -> Path:
    """The latest run with a file `which`. BadInput if there is none."""
    for directory in list_run_directories():
        if (directory / which).exists():
            return directory
    raise BadInput(f"{LATEST}: there is no run with a {which} below {ROOT}/ here: train one, or give the path of a run")


def list_run_directories(root: Path = ROOT) -> list[Path]:
    """The runs in a folder and in the sweeps there, the latest first."""
    found = {path.parent for pattern in ("*/config.yaml", "*/*/config.yaml") for path in root.glob(pattern)}
    return sorted(found, key=lambda directory: (find_time_written(directory), directory.name), reverse=True)


def find_time_written(directory: Path) -> float:
    """When a run was written to, in seconds since 1970."""
    return max(path.stat().st_mtime for name in WRITTEN if (path := directory / name).exists())


def suggest_runs(name: str, at_most: int = 3) -> str:
    """What to type in place of the name of a run, or of a model that ships, that does not exist."""
    runs = {directory.name: str(directory) for directory in list_run_directories()}
    known = {model: model for model in list_shipped()} | ({LATEST: LATEST} if runs else {}) | runs
    inside = [one for one in known if name and name in one]
    near = inside[:at_most] or difflib.get_close_matches(name, known, n=at_most, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(known[one] for one in near)}?"
    return f"{LATEST} is the latest run, and lstmlm runs lists all" if runs else "give a run directory or a checkpoint"
