"""Tests which results wait for review, in which order, and which decisions are listed."""

import pytest

from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.jobs import JobList
from gateway.store.review_list import ReviewList
from tests.unit.gateway.store.reviewed_results import RESULTS_AT, ReviewedResults
from totalmap.finding import Verdict

REVIEWED = (Verdict.REVIEW, Verdict.REJECT)


@pytest.fixture
def results(database: Database) -> ReviewedResults:
    return ReviewedResults(database)


@pytest.fixture
def review(database: Database) -> ReviewList:
    return ReviewList(database, REVIEWED)


def waiting(review: ReviewList, rule: str = "") -> list[str]:
    found = [each.job_id for each in review.waiting(rule)]
    assert review.count_waiting(rule) == len(found)
    return found


def decided(review: ReviewList, rule: str = "", who: str = "") -> list[str]:
    return [each.job_id for each in review.decided(rule, who)]


def test_the_gravest_results_wait_first_and_of_these_the_oldest(
    results: ReviewedResults, review: ReviewList
) -> None:
    results.make("a", Verdict.REVIEW, at=20.0)
    results.make("b", Verdict.REVIEW, at=10.0)
    results.make("c", Verdict.REJECT, at=40.0)
    results.make("d", Verdict.REJECT, at=30.0)
    results.make("e", Verdict.OK, at=5.0)
    assert waiting(review) == ["d", "c", "b", "a"]
    first = review.waiting()[0]
    assert (first.verdict, first.is_held, first.results_at) == (Verdict.REJECT, True, 30.0)
    assert first.reason == "Rejected by quality control: data"
    assert review.count_by_verdict() == {Verdict.REVIEW: 2, Verdict.REJECT: 2}


def test_a_site_can_have_results_without_objections_reviewed_too(
    results: ReviewedResults, database: Database
) -> None:
    results.make("a", Verdict.OK)
    results.make("b", Verdict.REVIEW)
    assert waiting(ReviewList(database, (*REVIEWED, Verdict.OK))) == ["b", "a"]
    assert waiting(ReviewList(database, ())) == []


def test_results_are_listed_by_rule_and_in_pages(
    results: ReviewedResults, review: ReviewList
) -> None:
    for number in range(5):
        results.make(f"a{number}", at=float(number + 1), rule="ct" if number % 2 else "mr")
    assert waiting(review, "ct") == ["a1", "a3"]
    assert waiting(review, "none") == []
    pages = [review.waiting(limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [[each.job_id for each in page] for page in pages] == [
        ["a0", "a1"],
        ["a2", "a3"],
        ["a4"],
    ]


def test_results_after_those_of_a_job_are_listed_also_when_these_wait_no_longer(
    results: ReviewedResults, review: ReviewList, database: Database
) -> None:
    results.make("d", Verdict.REJECT, at=30.0)
    for job_id in ("a", "b", "c"):
        results.make(job_id, at=20.0 if job_id == "a" else 10.0, rule="mr")
    order = ["d", "b", "c", "a"]
    for n_before, job_id in enumerate(order, 1):
        assert [each.job_id for each in review.waiting(after=job_id)] == order[n_before:]
    assert [each.job_id for each in review.waiting("mr", after="d")] == order[1:], "another rule"
    results.decide("b", DecisionKind.ACCEPTED)
    assert [each.job_id for each in review.waiting(after="b")] == ["c", "a"]
    results.decide("d", DecisionKind.REJECTED)
    assert JobList(database).retry("d", "eva")
    for without_results in ("d", "unknown"):
        found = review.waiting(after=without_results)
        assert [each.job_id for each in found] == ["c", "a"], "all that wait"


@pytest.mark.parametrize("kind", [DecisionKind.ACCEPTED, DecisionKind.REJECTED])
def test_results_wait_no_longer_after_a_decision_and_wait_again_after_its_withdrawal(
    results: ReviewedResults, review: ReviewList, kind: DecisionKind
) -> None:
    job_id = results.make("a")
    results.decide(job_id, kind)
    assert (waiting(review), decided(review)) == ([], ["a"])
    results.decide(job_id, DecisionKind.WITHDRAWN)
    assert (waiting(review), decided(review)) == (["a"], [])
    results.decide(job_id, DecisionKind.REJECTED)
    assert (waiting(review), decided(review)) == ([], ["a"])


def test_a_comment_leaves_results_on_the_list(results: ReviewedResults, review: ReviewList) -> None:
    results.decide(results.make("a"), DecisionKind.COMMENTED)
    assert (waiting(review), decided(review)) == (["a"], [])


def test_released_results_wait_no_longer_and_are_held_again_after_a_withdrawal(
    results: ReviewedResults, review: ReviewList
) -> None:
    job_id = results.make("a", Verdict.REJECT)
    results.decide(job_id, DecisionKind.RELEASED)
    assert waiting(review) == []
    results.decide(job_id, DecisionKind.WITHDRAWN)
    assert [(each.job_id, each.is_held) for each in review.waiting()] == [("a", True)]


def test_new_results_of_a_job_wait_again(
    results: ReviewedResults, review: ReviewList, database: Database
) -> None:
    job_id = results.make("a", Verdict.REJECT)
    results.decide(job_id, DecisionKind.REJECTED)
    assert JobList(database).retry(job_id, "eva")
    assert waiting(review) == [], "they are not made yet"
    results.run(job_id, Verdict.REVIEW)
    assert waiting(review) == ["a"]
    results.decide(job_id, DecisionKind.ACCEPTED)
    assert waiting(review) == []


def test_results_that_a_newer_job_has_replaced_wait_no_longer(
    results: ReviewedResults, review: ReviewList
) -> None:
    results.make("a", study="1.2")
    results.make("b", study="1.2", rule="other")
    results.make("c", study="1.2")
    assert sorted(waiting(review)) == ["b", "c"]


def test_results_whose_files_are_deleted_wait_no_longer(
    results: ReviewedResults, review: ReviewList, database: Database
) -> None:
    deleted, kept = results.make("a", study="1.2"), results.make("b", study="1.3")
    with database.transaction() as connection:
        for study, job_id, kind in (
            ("1.2", deleted, ObjectKind.RESULTS),
            ("1.3", kept, ObjectKind.SOURCES),
        ):
            record(connection, EventKind.DELETED, study, object_kind=kind, job_id=job_id)
    assert waiting(review) == ["b"]


def test_decisions_are_listed_by_rule_and_reviewer_the_newest_first(
    results: ReviewedResults, review: ReviewList
) -> None:
    for number, who in enumerate(["eva", "otto", "eva"]):
        job_id = results.make(f"a{number}", rule="mr" if number == 2 else "ct")
        at = RESULTS_AT + number
        results.decide(job_id, DecisionKind.ACCEPTED, at=at, who=who, reason="")
    assert decided(review) == ["a2", "a1", "a0"]
    assert decided(review, "ct") == ["a1", "a0"]
    assert decided(review, who="eva") == ["a2", "a0"]
    assert decided(review, "ct", "eva") == ["a0"]
    assert [each.job_id for each in review.decided(limit=1, offset=1)] == ["a1"]
    assert list(review.reviewers()) == ["eva", "otto"]
    newest = review.decided()[0]
    assert (newest.kind, newest.who, newest.verdict) == (
        DecisionKind.ACCEPTED,
        "eva",
        Verdict.REVIEW,
    )
    assert (newest.results_at, newest.at, newest.reason) == (RESULTS_AT, RESULTS_AT + 2, None)


def test_the_time_to_a_decision_is_the_median_of_those_that_hold(
    results: ReviewedResults, review: ReviewList
) -> None:
    for number, (seconds, who) in enumerate([(10, "eva"), (30, "eva"), (500, "otto"), (7, "eva")]):
        results.make(f"a{number}")
        results.decide(f"a{number}", DecisionKind.ACCEPTED, at=RESULTS_AT + seconds, who=who)
    results.decide("a3", DecisionKind.WITHDRAWN)
    found = review.time_to_decision(since=RESULTS_AT)
    assert (found.n_decisions, found.median_seconds) == (3, 30.0)
    assert review.time_to_decision(who="eva", since=RESULTS_AT).median_seconds == 20.0
    assert review.time_to_decision(since=RESULTS_AT + 100).median_seconds == 500.0
    assert review.time_to_decision("none", since=RESULTS_AT).median_seconds is None
