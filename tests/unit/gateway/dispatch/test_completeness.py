from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import CompleteSection
from gateway.dispatch.completeness import Quiet, QuietTimes, is_complete
from gateway.store.ledger import GrowingStudy
from tests.clocks import HandSetClock

SETTINGS = CompleteSection(quiet_seconds=5.0, quiet_unreleased_seconds=60.0)
ARRIVING = GrowingStudy(
    study_instance_uid="1.2", n_instances=3, last_received_at=1000.0, transfers_ended_at=None
)
ENDED = replace(ARRIVING, transfers_ended_at=1001.0)


def quiet(instance: float, change: float) -> Quiet:
    return Quiet(since_instance_seconds=instance, since_change_seconds=change)


@pytest.mark.parametrize(
    ("study", "instance", "change", "expected"),
    [
        (ENDED, 5.9, 4.9, False),
        (ENDED, 6.0, 5.0, True),
        (ARRIVING, 59.9, 59.9, False),
        (ARRIVING, 60.0, 60.0, True),
        # An association that stays open long after its last instance keeps nothing waiting.
        (ENDED, 60.0, 1.0, True),
    ],
)
def test_a_received_study_is_complete_after_its_quiet_time(
    study: GrowingStudy, instance: float, change: float, expected: bool
) -> None:
    assert is_complete(study, quiet(instance, change), SETTINGS) is expected


@pytest.mark.parametrize(
    ("study", "source_has", "seconds", "expected"),
    [
        (ARRIVING, 3, 0.0, True),  # all that the source has is here
        (ARRIVING, 2, 0.0, True),  # and more than that, since somebody sent an object twice
        (ARRIVING, 4, 59.9, False),
        (ENDED, 4, 10.0, False),  # released, but the source has more
        (ENDED, 4, 60.0, True),
    ],
)
def test_the_number_of_instances_at_the_source_decides_whether_a_study_is_complete(
    study: GrowingStudy, source_has: int, seconds: float, expected: bool
) -> None:
    assert is_complete(study, quiet(seconds, seconds), SETTINGS, source_has) is expected


def test_the_quiet_time_of_a_study_counts_from_its_last_instance_and_last_transfer() -> None:
    clock = HandSetClock()
    times = QuietTimes(clock)
    assert times.of(ARRIVING) == quiet(0.0, 0.0)
    clock.advance(3.0)
    assert times.of(ARRIVING) == quiet(3.0, 3.0)
    assert times.of(ENDED) == quiet(3.0, 0.0)
    clock.advance(2.0)
    assert times.of(ENDED) == quiet(5.0, 2.0)
    assert times.of(replace(ENDED, n_instances=4)) == quiet(0.0, 0.0)
    times.forget_all_but(())
    assert times.of(replace(ENDED, n_instances=4)) == quiet(0.0, 0.0)


@given(jumps=st.lists(st.floats(-1e7, 1e7), max_size=4), ahead=st.floats(-1e7, 1e7))
def test_a_clock_that_jumps_does_not_change_when_a_received_study_is_complete(
    jumps: list[float], ahead: float
) -> None:
    """10 of 500 slices are not complete; an emergency does not wait for its receiver's clock."""
    clock = HandSetClock()
    times = QuietTimes(clock)
    study = replace(ENDED, last_received_at=clock.wall + ahead, transfers_ended_at=clock.wall)
    for _ in range(4):
        assert not is_complete(study, times.of(study), SETTINGS)
        clock.jump(jumps.pop() if jumps else 0.0)
        clock.advance(1.25)
    assert is_complete(study, times.of(study), SETTINGS)
