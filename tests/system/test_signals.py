"""StopRequest beside the handlers of a launcher of jobs."""

import os
import signal
import sys

import pytest

from lstmlm.system.errors import Stopped
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
