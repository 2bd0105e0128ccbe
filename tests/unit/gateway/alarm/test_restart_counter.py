"""Tests the counter of restarts of processes."""

from gateway.alarm.restart_counter import WINDOW_SECONDS, RestartCounter
from tests.unit.gateway.test_heartbeat import SetClock


def test_the_alarm_about_restarts_counts_only_those_of_the_last_ten_minutes() -> None:
    moment = SetClock()
    counter = RestartCounter(moment)
    counter.note("work")
    moment.seconds += 1
    counter.note("web")
    counter.note("web")
    assert counter.at_least(2) == {"web": 2}
    assert counter.at_least(1) == {"work": 1, "web": 2}
    moment.seconds += WINDOW_SECONDS - 0.5
    assert counter.at_least(1) == {"web": 2}
    moment.seconds += 1
    assert counter.at_least(1) == {}
