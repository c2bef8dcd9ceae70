"""How this program was started, so that the commands that it prints can be typed."""

import shutil
import sys
from pathlib import Path


def name_command(command: str) -> list[str]:
    """The words that start a command: `python train.py` for train if that is how this run was started."""
    started = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path("-")
    if command == "train" and started.name == "train.py":
        return ["python", str(started)]
    if started.name == "lstmlm" or (started.name == "train.py" and shutil.which("lstmlm")):
        return ["lstmlm", command]
    return ["python", "-m", "lstmlm", command]
