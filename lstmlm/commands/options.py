"""Options that several commands have, and how the commands read them."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmlm.commands.display import print_note
from lstmlm.settings.config import SETTINGS
from lstmlm.settings.sampling import WEIGHTS
from lstmlm.system.errors import BadInput
from lstmlm.system.paths import expand_path

if TYPE_CHECKING:
    from lstmlm.checkpoints.checkpoint import Checkpoint


class PathAction(argparse.Action):
    """Takes paths: a leading ~ is expanded, also where the shell did not; BadInput for an empty path."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        what = option_string or str(self.metavar or self.dest).partition("|")[0]
        several = isinstance(values, list)
        given = values if several else [values]
        expanded = [word if word is None else expand_path(word, what) for word in given]
        setattr(namespace, self.dest, expanded if several else expanded[0])


def spell_option(name: str) -> str:
    """The option that sets an attribute of the parsed arguments: `--top-k` for `top_k`."""
    return "--" + name.replace("_", "-")


def add_checkpoint(
    command: argparse.ArgumentParser, nargs: str = "?", more: str = "; left out: latest, the latest run"
) -> None:
    """Add the positional RUN_OR_CHECKPOINT; `more` is appended to its help."""
    what = f"a run directory (its best weights), a .safetensors file, or a model of lstmlm models{more}"
    command.add_argument("checkpoint", action=PathAction, nargs=nargs, metavar="RUN_OR_CHECKPOINT", help=what)


def add_weights(command: argparse.ArgumentParser) -> None:
    """Add `--ema`, for `load_chosen_weights`."""
    what = "the averaged weights (train.ema); of a run directory those at the end of the run"
    command.add_argument("--ema", action="store_true", help=what)


def add_small_weights(command: argparse.ArgumentParser, what: str) -> None:
    """Add `--weights`, for `check_small_weights`; `what` is the beginning of its help."""
    more = "with the weights of the layers rounded to 2 bytes (bf16) or 1 (int8) (default: %(default)s)"
    command.add_argument("--weights", choices=WEIGHTS, default=WEIGHTS[0], help=f"{what} {more}")


def check_small_weights(args: argparse.Namespace) -> bool:
    """Whether small weights were asked for. BadInput if a backend was too: the steps in C alone compute with them."""
    if args.weights == WEIGHTS[0]:
        return False
    if args.backend is not None:
        raise BadInput(f"--weights: {args.weights} is computed by the steps in C, on no backend: leave --backend out")
    return True


def format_small_weights(row: dict[str, Any]) -> str:
    """A line of what the small weights cost, from the row of --json."""
    exact = row["float32_nats_per_char"]
    cost = f"{row['nats_per_char'] - exact:+.5f} nats per character"
    return f"{row['weights']} weights cost {cost}: float32 needs {exact:.5f}"


def load_chosen_weights(given: str | None, ema: bool) -> "Checkpoint":
    """The checkpoint that RUN_OR_CHECKPOINT names, with its averaged weights if `ema`."""
    from lstmlm.checkpoints.checkpoint import load_checkpoint

    loaded = load_checkpoint(find_chosen_weights(given, ema))
    return loaded.averaged() if ema else loaded


def find_chosen_weights(given: str | None, ema: bool) -> Path:
    """The checkpoint file that RUN_OR_CHECKPOINT names: of a run directory the best weights, or the last if `ema`."""
    from lstmlm.checkpoints.files import BEST, LAST, find_checkpoint

    which = LAST if ema else BEST
    return find_checkpoint(find_named_run(given, which), which)


def find_named_run(given: str | None, which: str) -> Path:
    """The run directory or file that RUN names. A note on stderr says which run is the latest, where that is meant."""
    from lstmlm.runs.find import LATEST, find_run

    path = find_run(given, which)
    if given is None or (given == LATEST and str(path) != LATEST):
        print_note(f"the latest run: {path}")
    return path


def add_backend(command: argparse.ArgumentParser) -> None:
    """Add `--backend`."""
    command.add_argument("--backend", choices=SETTINGS["backend"].choices, help="compute on this backend")


def add_json(command: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="print JSON")


def add_overrides(command: argparse.ArgumentParser) -> None:
    """Add the settings of train.py, which may stand anywhere among the options (cli.parse)."""
    what = "settings as of train.py, among the options: data=file data.path=my.txt"
    command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=what)


def read_bytes(file: str, what: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. `what` names it in errors."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{what}: no such file: {file}") from None
    except OSError as error:
        raise BadInput(f"{what}: cannot read {file}: {error.strerror}") from None
