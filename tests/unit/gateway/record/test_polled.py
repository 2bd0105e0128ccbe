import time

import pytest

from gateway.record.ledger import Ledger
from gateway.record.polled import Polled


@pytest.fixture
def polled(ledger: Ledger) -> Polled:
    return Polled(ledger, "archive:8042")


def test_the_first_question_stays_the_first(polled: Polled, ledger: Ledger) -> None:
    before = time.time()
    first = polled.begun_at()
    assert before <= first <= time.time()
    assert polled.begun_at() == Polled(ledger, "archive:8042").begun_at() == first
    assert Polled(ledger, "archive:8043").begun_at() > first


def test_a_study_is_settled_as_it_was_last(polled: Polled, ledger: Ledger) -> None:
    polled.settle("one", "20261126T103000")
    polled.settle("two", "20261126T103000")
    polled.settle("one", "20261126T103001")
    again = Polled(ledger, "archive:8042")
    assert again.studies() == {"one": "20261126T103001", "two": "20261126T103000"}
    assert Polled(ledger, "archive:8043").studies() == {}


def test_a_study_is_forgotten_and_no_other_one(polled: Polled, ledger: Ledger) -> None:
    other = Polled(ledger, "archive:8043")
    for one in (polled, other):
        one.settle("one", "1")
        one.settle("two", "1")
    polled.forget("one")
    assert polled.studies() == {"two": "1"}
    assert other.studies() == {"one": "1", "two": "1"}
