"""The checkpoint files of a run directory. No torch."""

from pathlib import Path

from lstmlm.system.errors import BadInput

BEST, LAST, PREVIOUS = "best.safetensors", "last.safetensors", "previous.safetensors"


def find_checkpoint(run_or_checkpoint: str | Path, which: str = BEST) -> Path:
    """The file that a path names: `which` of a run directory, or the file itself."""
    path = Path(run_or_checkpoint)
    if not path.is_dir():
        return path
    if not (path / which).exists():
        raise BadInput(f"checkpoint: {path} has no {which}: give a run directory or a .safetensors file")
    return path / which
