"""A run in the process of a caller in Python, which is left as it was. An interrupt keeps what is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from lstmlm.api.keywords import check_overrides, name_as_typed, write_overrides
from lstmlm.distributed.place import refuse_place
from lstmlm.runs.inherit import inherit_settings
from lstmlm.runs.launch import resume_run, start_run
from lstmlm.runs.run_directory import has_checkpoint
from lstmlm.settings.run_settings import compose_run
from lstmlm.system.errors import BadInput, Stopped, safe_streams
from lstmlm.system.escape import escape_controls
from lstmlm.system.machine import return_memory

# The log, Hydra and torch's number of threads are the process's: a second run waits for the first
ONE_AT_A_TIME = threading.Lock()


def execute_run(overrides: Sequence[object], keywords: Mapping[str, object]) -> Path:
    """Start or resume the run of these overrides and keywords, and return its directory; also if it was interrupted."""
    refuse_place("lstmlm.train")
    words, written = check_overrides(overrides), write_overrides(keywords)
    words += [override for own in written.values() for override in own]
    try:
        with ONE_AT_A_TIME, restored_process():
            return start_or_resume(words)
    except BadInput as error:
        raise name_as_typed(error, written) from None
    except Stopped as stopped:
        return keep_what_is_saved(stopped)


def start_or_resume(words: list[str]) -> Path:
    composed = compose_run(words)
    if composed.config.resume is None:
        config = inherit_settings(composed.config, composed.typed)
        return start_run(config, composed.overrides, composed.directory, composed.named)
    return resume_run(composed.config, composed.typed, composed.directory, composed.named)


def keep_what_is_saved(stopped: Stopped) -> Path:
    """The directory of a run that a signal stopped.

    KeyboardInterrupt if nothing is saved there. SIGTERM ends the process now that the run is saved.
    """
    print(escape_controls(str(stopped)))
    if stopped.exit_code == 128 + signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)
    if stopped.directory is None or not has_checkpoint(stopped.directory):
        raise KeyboardInterrupt from None
    return stopped.directory


@contextlib.contextmanager
def restored_process() -> Iterator[None]:
    """After the block, stdout, stderr, torch's threads, its global generator, and malloc are as they were."""
    threads = torch.get_num_threads()
    try:
        with safe_streams(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        return_memory()
