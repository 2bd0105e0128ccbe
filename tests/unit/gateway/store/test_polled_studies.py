import time

import pytest

from gateway.store.database import Database
from gateway.store.polled_studies import PolledStudies


@pytest.fixture
def polled(database: Database) -> PolledStudies:
    return PolledStudies(database, "archive:8042")


def test_the_time_of_the_first_poll_of_orthanc_does_not_change(
    polled: PolledStudies, database: Database
) -> None:
    before = time.time()
    first = polled.begun_at()
    assert before <= first <= time.time()
    assert polled.begun_at() == PolledStudies(database, "archive:8042").begun_at() == first
    assert PolledStudies(database, "archive:8043").begun_at() > first


def test_the_last_settled_version_of_a_polled_study_is_stored(
    polled: PolledStudies, database: Database
) -> None:
    polled.settle("one", "20261126T103000")
    polled.settle("two", "20261126T103000")
    polled.settle("one", "20261126T103001")
    again = PolledStudies(database, "archive:8042")
    assert again.studies() == {"one": "20261126T103001", "two": "20261126T103000"}
    assert PolledStudies(database, "archive:8043").studies() == {}


def test_only_the_given_polled_study_is_forgotten(
    polled: PolledStudies, database: Database
) -> None:
    other = PolledStudies(database, "archive:8043")
    for item in (polled, other):
        item.settle("one", "1")
        item.settle("two", "1")
    polled.forget("one")
    assert polled.studies() == {"two": "1"}
    assert other.studies() == {"one": "1", "two": "1"}
