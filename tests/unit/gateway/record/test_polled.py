import time

import pytest

from gateway.record.database import Database
from gateway.record.polled import Polled


@pytest.fixture
def polled(database: Database) -> Polled:
    return Polled(database, "archive:8042")


def test_the_first_question_stays_the_first(polled: Polled, database: Database) -> None:
    before = time.time()
    first = polled.begun_at()
    assert before <= first <= time.time()
    assert polled.begun_at() == Polled(database, "archive:8042").begun_at() == first
    assert Polled(database, "archive:8043").begun_at() > first


def test_a_study_is_settled_as_it_was_last(polled: Polled, database: Database) -> None:
    polled.settle("one", "20261126T103000")
    polled.settle("two", "20261126T103000")
    polled.settle("one", "20261126T103001")
    again = Polled(database, "archive:8042")
    assert again.studies() == {"one": "20261126T103001", "two": "20261126T103000"}
    assert Polled(database, "archive:8043").studies() == {}


def test_a_study_is_forgotten_and_no_other_one(polled: Polled, database: Database) -> None:
    other = Polled(database, "archive:8043")
    for one in (polled, other):
        one.settle("one", "1")
        one.settle("two", "1")
    polled.forget("one")
    assert polled.studies() == {"two": "1"}
    assert other.studies() == {"one": "1", "two": "1"}
