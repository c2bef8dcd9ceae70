"""A sweep: each job's errors name the job, and at the end the jobs that failed are listed."""

import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lstmlm.runs.comparison import group_by_split, rank_runs
from lstmlm.runs.comparison_table import FEW, format_tables
from lstmlm.runs.summary import find_runs, read_run
from lstmlm.system.errors import BadInput, EnvironmentFault, LstmlmError, run_to_exit_code
from lstmlm.system.escape import escape_controls
from lstmlm.system.launcher_signals import end_on_announcement
from lstmlm.system.shell_words import quote_word

TERMINATED = 143  # exit code
STOPPED = (130, TERMINATED)  # exit codes of a job that a signal stopped: the signal is meant for the whole sweep


@dataclass(frozen=True)
class Outcome:
    job: str  # its name: job 1 (train.lr=0.02)
    directory: str  # of the sweep
    code: int


class Sweep:
    """The jobs of one sweep and their outcomes.

    The outcomes are kept in files, because a launcher may run the jobs in other processes.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total  # jobs, None if that is not known
        self.kept = tempfile.TemporaryDirectory(prefix="lstmlm_sweep_")
        self.outcomes = Path(self.kept.name)

    def share_outcomes(self) -> None:
        """Keep the outcomes in the working directory, which the machines of a cluster share."""
        self.kept.cleanup()
        self.kept = tempfile.TemporaryDirectory(prefix=".lstmlm_sweep_", dir=Path.cwd())
        self.outcomes = Path(self.kept.name)

    def __getstate__(self) -> dict[str, Path | int | None]:  # for another process
        return {"outcomes": self.outcomes, "total": self.total, "kept": None}  # the folder stays with its maker

    def is_elsewhere(self) -> bool:
        """Is this a copy in a process that a launcher started?"""
        return self.kept is None

    def run(self, job: Callable[[], None], number: int, own: list[str], directory: Path) -> int:
        """Say which job it is, run it and return its exit code. `number` is 0 for the first job.

        Its errors begin with its number and its `own` overrides, which the other jobs do not have. `directory` is that
        of the sweep.
        """
        name = f"job {number + 1} ({' '.join(own)})" if own else f"job {number + 1}"
        total = "" if self.total is None else f" of {self.total}"
        print(escape_controls(f"\njob {number + 1}{total}: {' '.join(own)}"), flush=True)

        def named() -> None:
            try:
                job()
            except LstmlmError as error:
                error.args = (f"{name}: {error}",)
                raise

        code = TERMINATED
        with end_on_announcement():
            code = run_to_exit_code(named)
        outcome = Outcome(name, str(directory), code)
        with contextlib.suppress(FileNotFoundError):  # the command that started the sweep has ended
            (self.outcomes / f"{number:09}").write_text(json.dumps(asdict(outcome)))
        return code

    def close(self) -> list[int]:
        """Print the outcomes and return the exit codes of the jobs."""
        outcomes = [Outcome(**json.loads(path.read_text())) for path in sorted(self.outcomes.iterdir())]
        self.kept.cleanup()
        if outcomes:
            remove_if_unused(Path(outcomes[0].directory))
            if ranking := format_ranking(Path(outcomes[0].directory)):
                print(f"\n{ranking}\n")
            good = all(outcome.code == 0 for outcome in outcomes)
            print(format_outcomes(outcomes), file=sys.stdout if good else sys.stderr)
        return [outcome.code for outcome in outcomes]


def explain_lost_job(error: Exception) -> Exception:
    """The EnvironmentFault of one line for submitit's report of a job that left no result; others are unchanged."""
    if type(error).__module__.partition(".")[0] != "submitit":
        return error
    number = re.search(r"Job (\S+)", str(error))
    job = f"job {number[1]} of submitit" if number else "a job of submitit"
    return EnvironmentFault(
        f"sweep: {job} ended without a result, as one does that is killed: .submitit in the directory of the sweep has "
        "what it printed: when the other jobs have ended, type the same command again, with resume=auto"
    )


def format_ranking(directory: Path) -> str:
    """The runs of a sweep, the best first; empty where there are not two to compare."""
    try:
        runs = rank_runs(map(read_run, find_runs([directory])))
    except BadInput:  # the jobs have left nothing there
        return ""
    return format_tables(group_by_split(runs), FEW, directory) if len(runs) > 1 else ""


def format_outcomes(outcomes: list[Outcome]) -> str:
    """How many jobs finished, which did not, and the commands to type next."""
    directory = quote_word(outcomes[0].directory)
    failed = [f"{each.job} with exit code {each.code}" for each in outcomes if each.code not in (0, *STOPPED)]
    stopped = [outcome.job for outcome in outcomes if outcome.code in STOPPED]
    finished = sum(outcome.code == 0 for outcome in outcomes)
    parts = [f"{finished} finished"]
    parts += [f"{len(failed)} failed: {', '.join(failed)}"] if failed else []
    parts += [f"stopped in {', '.join(stopped)}"] if stopped else []
    if stopped:
        parts[-1] += f": resume with the same command and resume=auto hydra.sweep.dir={directory}"
    compare = f"\nnext:  python -m lstmlm compare {directory}" if finished else ""
    return f"sweep: {'; '.join(parts)}{compare}"


def remove_if_unused(directory: Path) -> None:
    """Remove the directory of a sweep without runs, in which there is only Hydra's file."""
    with contextlib.suppress(OSError):
        if [path.name for path in directory.iterdir()] == ["multirun.yaml"]:
            (directory / "multirun.yaml").unlink()
            directory.rmdir()
