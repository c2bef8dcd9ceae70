"""The clock counts what its readings say: here it is moved by hand."""

import time

import pytest

from lstmlm.training.clock import Clock


class Hands:
    wall = cpu = 0.0


@pytest.fixture
def hands(monkeypatch):
    """Move `wall` and `cpu`, in seconds."""
    hands = Hands()
    hands.wall, hands.cpu = 1000.0, 50.0
    monkeypatch.setattr(time, "perf_counter", lambda: hands.wall)
    monkeypatch.setattr(time, "process_time", lambda: hands.cpu)
    return hands


def test_laps_alone_are_training_and_a_pause_is_not(hands):
    clock = Clock(cpu_started=40.0)
    hands.wall += 5
    clock.start_lap()
    hands.wall += 3
    with clock.pause_lap():
        hands.wall += 100
    hands.wall += 1
    assert clock.end_lap() == 4
    hands.wall += 7
    assert clock.training_seconds == 4 and clock.seconds == 116 and clock.cpu_seconds == 10


def test_a_restored_clock_goes_on_from_its_readings(hands):
    before = Clock(cpu_started=40.0)
    before.start_lap()
    hands.wall += 8
    before.end_lap()
    record = before.to_record()
    hands.wall, hands.cpu = 0.0, 0.0  # of another process
    after = Clock(cpu_started=0.0)
    after.restore(record)
    hands.wall, hands.cpu = 2.0, 1.0
    assert (after.seconds, after.training_seconds, after.cpu_seconds) == (10, 8, 11)
    assert after.to_record().keys() == record.keys() == {"seconds", "training_seconds", "cpu_seconds"}


def test_the_cpu_time_of_a_run_from_a_file_without_it_stays_unknown(hands):
    clock = Clock(cpu_started=40.0)
    clock.restore({"seconds": 1.0, "training_seconds": 0.5})
    assert clock.cpu_seconds is None and "cpu_seconds" not in clock.to_record()
