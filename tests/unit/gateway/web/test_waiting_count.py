"""Tests that the number of results that wait for review follows each change."""

from gateway.store.count_events_for_metrics import EventCounts
from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.jobs import JobList
from gateway.store.review_list import ReviewList
from gateway.web.waiting_count import WaitingCount
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from totalmap.finding import Verdict


def test_the_number_follows_results_decisions_withdrawals_and_new_runs(
    database: Database,
) -> None:
    results = ReviewedResults(database)
    results.make("a")
    review = ReviewList(database, (Verdict.REVIEW, Verdict.REJECT))
    waiting = WaitingCount(review, EventCounts(database))
    assert waiting.count() == 1, "what was there before"
    results.make("b", Verdict.REJECT)
    assert waiting.count() == 2
    results.decide("a", DecisionKind.ACCEPTED)
    assert waiting.count() == 1
    results.decide("a", DecisionKind.WITHDRAWN)
    assert waiting.count() == 2
    results.decide("b", DecisionKind.RELEASED)
    assert waiting.count() == 1
    results.decide("b", DecisionKind.WITHDRAWN)
    results.deliver("b")
    assert JobList(database).retry("b", "eva")
    assert waiting.count() == 1
    results.run("b", Verdict.REJECT)
    assert waiting.count() == 2
    results.make("c", study="1.a")
    assert waiting.count() == 2, "it replaces the results of a"
