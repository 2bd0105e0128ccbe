"""Tests that nothing is deleted after a jump of the clock until a user confirms the clock."""

import pytest

from gateway.retention.retention import ClockGuard
from gateway.store.clock_record import ClockRecord
from gateway.store.database import Database
from gateway.store.events import events_after
from tests.clocks import HandSetClock

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def clock() -> HandSetClock:
    return HandSetClock()


@pytest.fixture
def records(database: Database) -> ClockRecord:
    return ClockRecord(database)


@pytest.fixture
def guard(clock: HandSetClock, records: ClockRecord) -> ClockGuard:
    """One that has looked at the clock before."""
    guard = ClockGuard(clock, records)
    assert guard.is_trusted()
    return guard


def test_retention_trusts_passing_time_and_small_corrections_of_the_clock(
    guard: ClockGuard, clock: HandSetClock
) -> None:
    for _ in range(3):
        clock.advance(10.0)
        clock.jump(0.5)
        assert guard.is_trusted()
    clock.advance(40 * DAY)  # the gateway was stopped; the machine was not
    assert guard.is_trusted()
    clock.restart(off_seconds=20 * HOUR)
    assert guard.is_trusted()


@pytest.mark.parametrize("seconds", [40 * DAY, HOUR, -HOUR, -70.0])
def test_retention_does_not_trust_a_clock_that_jumped_until_a_user_confirms_it(
    guard: ClockGuard,
    clock: HandSetClock,
    records: ClockRecord,
    database: Database,
    seconds: float,
) -> None:
    clock.advance(10.0)
    clock.jump(seconds)
    assert not guard.is_trusted()
    clock.advance(10.0)
    assert not guard.is_trusted()
    assert not ClockGuard(clock, records).is_trusted(), "nor after the gateway was started again"
    reading = records.last()
    assert reading
    assert reading.jump_seconds == pytest.approx(seconds)
    assert records.confirm("anna")
    assert not records.confirm("anna"), "it is confirmed already"
    assert guard.is_trusted()
    events = [(event.kind, event.who) for _, event in events_after(database, 0, 10)]
    assert events == [("clock jumped", None), ("clock confirmed", "anna")]


@pytest.mark.parametrize("off_seconds", [40 * DAY, -HOUR])
def test_retention_notices_a_clock_jump_during_a_reboot(
    guard: ClockGuard, clock: HandSetClock, off_seconds: float
) -> None:
    clock.restart(off_seconds)
    assert not guard.is_trusted()
