"""`lstmlm.train`."""

from pathlib import Path

from lstmlm.api.execution import execute_run
from lstmlm.api.run import Run


def train(*overrides: str, directory: str | Path | None = None, **settings: object) -> Run:
    """Train a model, and return its run.

        run = lstmlm.train(backend="nn", data="my.txt", max_epochs=5, num_hiddens=256)
        run = lstmlm.train("backend=nn", "model.num_hiddens=256", "train.max_epochs=5")

    It is the run of `python train.py` with the same settings. Interrupting it (Ctrl-C, or the notebook's stop button)
    saves and returns it; `run.resume()` continues it.

    Args:
        overrides: settings as on the command line of `python train.py`.
        directory: of the run; None: runs/<date>_<time>_<backend>_s<seed>.
        settings: settings as keywords, without their group: `lr` is train.lr. `data` is the name of a published text, a
            file, a folder or a pattern. `python train.py --help` explains every setting.

    Raises BadInput, a ValueError with a message of one line, for a mistake in an argument; Diverged if the loss or the
    gradient is no longer finite; EnvironmentFault where the machine fails (disk, memory).
    """
    place = {} if directory is None else {"directory": directory}
    return Run(execute_run(overrides, settings | place))
