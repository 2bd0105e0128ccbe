"""Tests when results that are made again need other UIDs, since archives hide the earlier ones."""

from dataclasses import replace

import pytest

from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.deliveries import DeliveryList
from gateway.store.job import Destinations
from gateway.store.jobs import JobList
from gateway.store.reject_replaced_results import reject_delivered_results
from gateway.store.rejected_results import RejectedResults
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from tests.unit.gateway.store.test_jobs import stand
from totalmap.finding import Verdict

ACCEPTED, REJECTED, RELEASED, WITHDRAWN = (
    DecisionKind.ACCEPTED,
    DecisionKind.REJECTED,
    DecisionKind.RELEASED,
    DecisionKind.WITHDRAWN,
)


@pytest.fixture
def results(database: Database) -> ReviewedResults:
    return ReviewedResults(database)


def key_of(results: ReviewedResults, job_id: str) -> str:
    job = stand(JobList(results.database), job_id)
    return RejectedResults(results.database).uid_key(job)


def test_results_made_again_without_a_rejection_keep_their_uids(results: ReviewedResults) -> None:
    job = results.make("a")
    for kind in (DecisionKind.COMMENTED, ACCEPTED, WITHDRAWN):
        results.decide(job, kind)
        assert key_of(results, job) == ""
    held = results.make("b", Verdict.REJECT)
    results.decide(held, REJECTED)
    assert key_of(results, held) == "", "they were delivered nowhere"


def test_results_made_again_after_a_rejection_get_other_uids_also_after_its_withdrawal(
    results: ReviewedResults,
) -> None:
    job = results.make("a")
    results.decide(job, REJECTED)
    key = key_of(results, job)
    assert len(key) == 64
    results.decide(job, WITHDRAWN)
    results.decide(job, REJECTED)
    assert key_of(results, job) == key, "archives hide the results from the first rejection on"


def test_each_run_after_a_further_rejection_of_its_results_gets_uids_of_its_own(
    results: ReviewedResults,
) -> None:
    job, jobs = results.make("a"), JobList(results.database)
    keys = [key_of(results, job)]
    for _ in range(3):
        results.decide(job, REJECTED)
        keys.append(key_of(results, job))
        assert jobs.reopen(job)
        results.run(job)
        assert key_of(results, job) == keys[-1], "a run that is repeated gives the same results"
    assert len(set(keys)) == 4


def test_results_whose_release_was_taken_back_are_made_again_and_delivered_under_other_uids(
    results: ReviewedResults,
) -> None:
    job, jobs = results.make("a", Verdict.REJECT), JobList(results.database)
    deliveries = DeliveryList(results.database)
    for kind in (RELEASED, WITHDRAWN):
        results.decide(job, kind)
        results.deliver(job)
    assert key_of(results, job) != ""
    assert jobs.retry(job, "eva")
    assert deliveries.of_job(job) == []
    results.run(job, Verdict.OK)
    assert [each.destination for each in deliveries.unqueued()] == ["pacs"]


def test_a_rejection_counts_for_newer_jobs_of_the_study_and_rule_alone(
    results: ReviewedResults,
) -> None:
    first = results.make("a", study="1.2")
    results.decide(first, REJECTED)
    newer = results.make("b", study="1.2")
    assert key_of(results, newer) == key_of(results, first) != ""
    for other in (results.make("c", study="1.2", rule="mr"), results.make("d", study="1.3")):
        assert key_of(results, other) == ""


def test_results_that_another_content_of_the_study_has_replaced_are_not_sent_again(
    results: ReviewedResults,
) -> None:
    first = results.make("a", study="1.2")
    results.deliver(first)
    newer = results.make("b", study="1.2")
    assert key_of(results, newer) == ""
    with results.database.transaction() as connection:
        reject_delivered_results(connection, "1.2")
    assert key_of(results, newer) != ""


def test_results_without_a_destination_keep_their_uids_after_a_rejection(
    results: ReviewedResults,
) -> None:
    job = results.make("a")
    results.decide(job, REJECTED)
    alone = replace(stand(JobList(results.database), job), destinations=Destinations())
    assert RejectedResults(results.database).uid_key(alone) == ""
