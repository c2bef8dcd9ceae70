"""StopRequest beside the handlers of a launcher of jobs."""

import contextlib
import os
import signal
import sys

import pytest

from lstmlm.runs.sweep import Sweep
from lstmlm.system.errors import Stopped
from lstmlm.system.launcher_signals import AnnouncementHandler, end_on_announcement
from lstmlm.system.signals import Interrupted, StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGUSR2")


@pytest.fixture
def launcher():
    """Handlers as of submitit, and the signals that they got."""
    got: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    for number in before:
        signal.signal(number, lambda number, frame: got.append(number))
    yield got
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_launchers_sigterm_stays_with_it(launcher):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert launcher == [signal.SIGTERM] and stop.exit_code is None


def test_the_launchers_announcement_stops_the_run_first_and_reaches_the_launcher_after_the_block(launcher):
    with pytest.raises(Stopped), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert stop.exit_code == 143 and launcher == []
        raise Stopped("saved", stop.exit_code)
    assert launcher == [signal.SIGUSR2]


def test_the_announcement_interrupts_work_that_may_be_dropped(launcher):
    with StopRequest() as stop, pytest.raises(Interrupted), stop.interrupts():
        os.kill(os.getpid(), signal.SIGUSR2)


@pytest.fixture
def sweep():
    made = Sweep()
    yield made
    made.kept.cleanup()


def announce() -> None:
    os.kill(os.getpid(), signal.SIGUSR2)


def fail_to_import() -> None:
    """As compiled modules do: whatever is raised while they are imported comes out as an ImportError."""
    try:
        announce()
    except BaseException:
        raise ImportError("initialization failed") from None


def swallow() -> None:
    with contextlib.suppress(BaseException):
        announce()


@pytest.mark.parametrize(
    ("job", "code", "said"), [(announce, 143, "stopped\n"), (fail_to_import, 143, "stopped\n"), (swallow, 0, "")]
)
def test_an_announcement_at_any_moment_of_a_job_ends_it_and_reaches_the_launcher(
    launcher, sweep, tmp_path, capsys, job, code, said
):
    assert sweep.run(job, 0, [], tmp_path) == code
    assert launcher == [signal.SIGUSR2]
    assert capsys.readouterr().err == said


def test_a_job_that_the_launcher_starts_again_has_no_outcome_yet(launcher, sweep, tmp_path):
    signal.signal(signal.SIGUSR2, lambda number, frame: sys.exit(144))
    with pytest.raises(SystemExit, match="144"):
        sweep.run(announce, 0, [], tmp_path)
    assert sweep.close() == []


def test_a_launcher_that_does_not_start_the_job_again_makes_no_bug_of_it(launcher, sweep, tmp_path):
    signal.signal(signal.SIGUSR2, lambda number, frame: 1 / 0)
    assert sweep.run(announce, 0, [], tmp_path) == 143


def test_training_that_was_announced_to_end_reports_what_it_saved(launcher, sweep, tmp_path, capsys):
    def train() -> None:
        with StopRequest() as stop:
            announce()
            raise Stopped("saved", stop.exit_code)

    assert sweep.run(train, 0, [], tmp_path) == 143
    assert launcher == [signal.SIGUSR2] and capsys.readouterr().err == "job 1: saved\n"


def test_an_announcement_in_the_last_step_ends_what_follows(launcher):
    with end_on_announcement():
        with StopRequest():
            announce()
        pytest.fail("the job went on")
    assert launcher == [signal.SIGUSR2]
    assert not isinstance(signal.getsignal(signal.SIGUSR2), AnnouncementHandler)


def test_without_a_launcher_sigterm_asks_for_a_stop_and_sigusr2_is_the_systems():
    with StopRequest() as stop:
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.exit_code == 143


def test_a_request_of_another_process_does_not_make_the_first_ctrl_c_a_second_one():
    with StopRequest() as stop:
        stop.ask(130)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_hangup_asks_for_a_stop_where_torchrun_passes_it_on():
    with StopRequest(hangup=True) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.exit_code == 143
