import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import CompleteSection
from gateway.dispatch.complete import is_complete
from gateway.record.ledger import GrowingStudy

SETTINGS = CompleteSection(quiet_seconds=5.0, quiet_unreleased_seconds=60.0)
LAST = 1000.0


def study(ended_at: float | None) -> GrowingStudy:
    return GrowingStudy(
        study_instance_uid="1.2",
        n_instances=3,
        last_received_at=LAST,
        transfers_ended_at=ended_at,
    )


@pytest.mark.parametrize(
    ("ended_at", "now", "expected"),
    [
        (LAST + 1, LAST + 5.9, False),
        (LAST + 1, LAST + 6.0, True),
        (None, LAST + 59.9, False),
        (None, LAST + 60.0, True),
        # An association that stays open long after its last instance keeps nothing waiting.
        (LAST + 59.0, LAST + 60.0, True),
        # Another instance came in a later request before that one ended.
        (LAST - 3.0, LAST + 4.9, False),
        (LAST - 3.0, LAST + 5.0, True),
    ],
)
def test_quiet_is_complete(ended_at: float | None, now: float, expected: bool) -> None:
    assert is_complete(study(ended_at), now, SETTINGS) is expected


@pytest.mark.parametrize(
    ("ended_at", "expected", "now", "complete"),
    [
        (None, 3, LAST, True),  # all that the source has is here
        (None, 2, LAST, True),  # and more than that, since somebody sent an object twice
        (None, 4, LAST + 59.9, False),
        (LAST + 1, 4, LAST + 10.0, False),  # released, but the source has more
        (LAST + 1, 4, LAST + 60.0, True),
    ],
)
def test_the_source_knows_better(
    ended_at: float | None, expected: int, now: float, complete: bool
) -> None:
    assert is_complete(study(ended_at), now, SETTINGS, expected) is complete


@given(
    ended_at=st.none() | st.floats(LAST, LAST + 1000),
    later=st.floats(0, 1000),
    more=st.floats(0, 1000),
)
def test_what_is_complete_stays_so(ended_at: float | None, later: float, more: float) -> None:
    if is_complete(study(ended_at), LAST + later, SETTINGS):
        assert is_complete(study(ended_at), LAST + later + more, SETTINGS)
