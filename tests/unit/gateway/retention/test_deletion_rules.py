import pytest

from gateway.config import RetentionSection
from gateway.retention.deletion_rules import (
    SECONDS_PER_DAY,
    history_may_go,
    results_may_go,
    sources_may_go,
)
from gateway.store.deliveries import DeliveryState
from gateway.store.job import JobState
from gateway.store.study_progress_for_retention import DeliveryOfJob, JobOfStudy, StudyState

RULES = RetentionSection(sources_days=2, results_days=3, failed_days=7)
NOW = 100.0 * SECONDS_PER_DAY


def at(days_ago: float) -> float:
    return NOW - days_ago * SECONDS_PER_DAY


def delivery(
    state: DeliveryState, days_ago: float | None = None, *, needs_commitment: bool = False
) -> DeliveryOfJob:
    done_at = None if days_ago is None else at(days_ago)
    return DeliveryOfJob(state=state, needs_commitment=needs_commitment, done_at=done_at)


def job(state: JobState, days_ago: float | None, *deliveries: DeliveryOfJob) -> JobOfStudy:
    ended_at = None if days_ago is None else at(days_ago)
    return JobOfStudy(job_id="j", state=state, ended_at=ended_at, deliveries=deliveries)


def study(*jobs: JobOfStudy, days_ago: float = 50) -> StudyState:
    return StudyState(jobs=jobs, last_at=at(days_ago))


def may_go(*jobs: JobOfStudy, rules: RetentionSection = RULES) -> tuple[bool, bool]:
    """Whether the sources of a study may go, and the results of its first job."""
    known = study(*jobs)
    return sources_may_go(known, rules, NOW), results_may_go(jobs[0], known, rules, NOW)


def test_delivered_sources_and_results_may_be_deleted_after_their_days() -> None:
    for days, gone in ((1, (False, False)), (2, (True, False)), (3, (True, True))):
        delivered = delivery(DeliveryState.DELIVERED, days)
        assert may_go(job(JobState.SEGMENTED, 40, delivered)) == gone


def test_retention_days_count_from_the_last_delivery() -> None:
    early, late = (delivery(DeliveryState.DELIVERED, days) for days in (40, 1))
    assert may_go(job(JobState.SEGMENTED, 40, early, late)) == (False, False)


def test_without_retention_days_everything_in_the_gateway_stays() -> None:
    delivered = job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40))
    dead = job(JobState.DEAD, 40)
    assert may_go(delivered, rules=RetentionSection()) == (False, False)
    assert may_go(dead, rules=RetentionSection(sources_days=1, results_days=1)) == (False, False)


@pytest.mark.parametrize(
    "unfinished",
    [
        job(JobState.QUEUED, None),
        job(JobState.RUNNING, None),
        job(JobState.SEGMENTED, 40, delivery(DeliveryState.WAITING)),
        job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40, needs_commitment=True)),
    ],
)
def test_retention_deletes_nothing_before_delivery_and_commitment(unfinished: JobOfStudy) -> None:
    done = job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40))
    assert may_go(unfinished) == (False, False)
    assert may_go(done, unfinished) == (False, True), "other results are not waited for"
    dead = job(JobState.DEAD, 40)
    assert may_go(dead, unfinished) == (False, False)


def test_results_to_which_a_destination_committed_itself_may_be_deleted() -> None:
    committed = delivery(DeliveryState.COMMITTED, 40, needs_commitment=True)
    assert may_go(job(JobState.SEGMENTED, 40, committed)) == (True, True)


@pytest.mark.parametrize(
    "failed",
    [
        job(JobState.DEAD, 6),
        job(JobState.CANCELLED, 6),
        job(JobState.SEGMENTED, 6, delivery(DeliveryState.DEAD)),
    ],
)
def test_a_failed_job_keeps_all_files_of_its_study_for_failed_days(failed: JobOfStudy) -> None:
    done = job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40))
    assert may_go(done, failed) == (False, False)
    sooner = RetentionSection(sources_days=2, results_days=3, failed_days=6)
    assert may_go(done, failed, rules=sooner) == (True, True)


def test_results_of_a_superseded_job_may_be_deleted_after_results_days() -> None:
    for days, gone in ((2, False), (3, True)):
        assert may_go(job(JobState.SUPERSEDED, days))[1] is gone


def test_a_study_without_jobs_may_be_deleted_some_days_after_its_receipt() -> None:
    for days, gone in ((1, False), (2, True)):
        assert sources_may_go(study(days_ago=days), RULES, NOW) is gone


def test_retention_days_count_from_the_newest_instance_of_a_study() -> None:
    done = job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40))
    assert not sources_may_go(study(done, days_ago=1), RULES, NOW)


def history_goes(*jobs: JobOfStudy, last_event: float = 40, **rules: float | None) -> bool:
    section = RetentionSection.model_validate({"history_days": 30, "failed_days": 7, **rules})
    return history_may_go(study(*jobs), at(last_event), section, NOW)


def test_the_history_of_a_study_may_be_deleted_after_history_days() -> None:
    delivered = job(JobState.SEGMENTED, 40, delivery(DeliveryState.DELIVERED, 40))
    assert history_goes(delivered)
    assert history_goes(), "of a study that no rule wanted, too"
    assert not history_goes(delivered, last_event=29), "somebody has looked at it since"
    assert not history_goes(job(JobState.SEGMENTED, 29))
    assert not history_goes(delivered, history_days=None)


@pytest.mark.parametrize(
    "never",
    [
        delivery(DeliveryState.WAITING),
        delivery(DeliveryState.DEAD),
        delivery(DeliveryState.DELIVERED, 40, needs_commitment=True),
    ],
)
def test_a_study_history_stays_if_a_destination_never_got_or_committed_to_the_results(
    never: DeliveryOfJob,
) -> None:
    delivered = delivery(DeliveryState.DELIVERED, 40)
    assert not history_goes(job(JobState.SEGMENTED, 40, delivered, never))


@pytest.mark.parametrize("state", [JobState.DEAD, JobState.CANCELLED])
def test_the_history_of_a_failed_study_may_be_deleted_only_with_failed_days(
    state: JobState,
) -> None:
    assert history_goes(job(state, 40))
    assert not history_goes(job(state, 40), failed_days=None)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_the_history_of_an_unfinished_job_stays(state: JobState) -> None:
    assert not history_goes(job(state, None))
