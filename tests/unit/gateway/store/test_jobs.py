"""Tests the list of jobs, also with random sequences of actions against a model."""

import time
from dataclasses import replace
from threading import Thread

import pytest
from sqlalchemy import update

from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import EventKind, ObjectKind, Outcome, history
from gateway.store.job import (
    Destinations,
    Job,
    JobState,
    Judgement,
    KeptResult,
    NewJob,
)
from gateway.store.jobs import JobList
from gateway.store.ledger import GrowingStudy, Ledger
from gateway.store.schema import JOBS
from tests.unit.gateway.instances import ONE
from totalmap.finding import Verdict

STUDY = GrowingStudy(
    study_instance_uid="1.2", n_instances=1, last_received_at=1000.5, transfers_ended_at=None
)
NEW = NewJob(
    job_id="a" * 64,
    study_instance_uid="1.2",
    rule="ct",
    sender="CT1",
    content_digest="d" * 64,
    content_until=1000.5,
    n_images=40,
    is_urgent=False,
    application={"segmentation": {"variant": "fast"}},
    destinations=Destinations.for_every_verdict("pacs", "archive"),
)
GROWN = replace(NEW, job_id="b" * 64, content_digest="e" * 64, n_images=50)
SEG = KeptResult(path="results/seg.dcm", kind="seg", sop_instance_uid="2.25.1")
REJECTED = Judgement(verdict=Verdict.REJECT, reasons=("Left and right are swapped.",))
REPORT = KeptResult(path="results/report.html", kind="report", sop_instance_uid=None)


@pytest.fixture
def jobs(database: Database) -> JobList:
    return JobList(database)


def stand(jobs: JobList, job_id: str = NEW.job_id) -> Job:
    """Returns how a job stands."""
    found = jobs.job(job_id)
    assert found is not None
    return found


def told(database: Database) -> list[EventKind]:
    """Returns what the history says of the study."""
    return [event.kind for event in history(database, STUDY.study_instance_uid)]


def test_a_new_gateway_job_is_stored_as_it_was_opened(jobs: JobList) -> None:
    before = time.time()
    assert jobs.open(STUDY, [NEW], "1 instances") == [NEW.job_id]
    job = stand(jobs)
    assert {name: getattr(job, name) for name in NewJob.__dataclass_fields__} == {
        name: getattr(NEW, name) for name in NewJob.__dataclass_fields__
    }
    assert (job.state, job.attempts, job.run) == (JobState.QUEUED, 0, 1)
    assert before <= job.created_at <= time.time()
    assert jobs.unqueued() == [job] == list(jobs.jobs()) == list(jobs.of_study("1.2"))


def test_every_change_of_a_gateway_job_is_recorded_as_an_event(
    jobs: JobList, database: Database
) -> None:
    jobs.open(STUDY, [NEW], "40 instances")
    jobs.begin(NEW.job_id, 1, "host-1")
    jobs.postpone(NEW.job_id, "out of memory", 0.0)
    jobs.make_urgent(NEW.job_id, "anna")
    jobs.begin(NEW.job_id, 3, "host-2")
    jobs.die(NEW.job_id, "no suitable series")
    jobs.retry(NEW.job_id, "anna")
    jobs.begin(NEW.job_id, 4, "host-1")
    jobs.succeed(NEW.job_id, [SEG])
    events = history(database, "1.2")
    assert [(event.kind, event.who, event.detail) for event in events] == [
        (EventKind.COMPLETE, None, "40 instances"),
        (EventKind.QUEUED, None, "rule ct, 40 images, routine"),
        (EventKind.STARTED, "host-1", "attempt 1"),
        (EventKind.POSTPONED, None, "out of memory"),
        (EventKind.MADE_URGENT, "anna", None),
        (EventKind.STARTED, "host-2", "attempt 2"),
        (EventKind.DEAD, None, "no suitable series"),
        (EventKind.RETRIED, "anna", None),
        (EventKind.STARTED, "host-1", "attempt 1"),
        (EventKind.SEGMENTED, None, "1 results, verdict ok"),
    ]
    assert {event.job_id for event in events[1:]} == {NEW.job_id}
    assert [event.object_kind for event in events] == [ObjectKind.STUDY, *9 * [ObjectKind.JOB]]
    outcomes = {event.kind: event.outcome for event in events}
    assert outcomes[EventKind.SEGMENTED] is Outcome.SUCCESS
    assert outcomes[EventKind.POSTPONED] is Outcome.MINOR_FAILURE
    assert outcomes[EventKind.DEAD] is Outcome.SERIOUS_FAILURE


def test_a_study_that_no_rule_matches_is_passed_on_by_the_gateway_without_jobs(
    jobs: JobList, ledger: Ledger, database: Database
) -> None:
    ledger.add([ONE])
    assert jobs.open(STUDY, [], "1 instances") == []
    assert ledger.growing_studies() == []
    assert told(database) == [EventKind.COMPLETE, EventKind.NOT_WANTED]


def test_the_same_content_of_a_study_makes_no_second_job(jobs: JobList, database: Database) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    before = stand(jobs)
    assert jobs.open(STUDY, [NEW], "") == []
    assert stand(jobs) == before
    assert EventKind.SUPERSEDED not in told(database)


def test_a_study_that_grows_supersedes_the_waiting_job_of_the_same_rule(
    jobs: JobList, database: Database
) -> None:
    other_rule = replace(NEW, job_id="c" * 64, rule="lungs")
    other_study = replace(NEW, job_id="d" * 64, study_instance_uid="1.3")
    jobs.open(STUDY, [NEW, other_rule], "")
    jobs.open(replace(STUDY, study_instance_uid="1.3"), [other_study], "")
    assert jobs.open(STUDY, [GROWN], "") == [GROWN.job_id]
    old = stand(jobs)
    assert (old.state, old.reason) == (JobState.SUPERSEDED, "the study has grown")
    assert stand(jobs, other_rule.job_id).state is JobState.QUEUED
    assert stand(jobs, other_study.job_id).state is JobState.QUEUED
    assert told(database).count(EventKind.SUPERSEDED) == 1
    assert jobs.begin(NEW.job_id, 1, "host-1") is None


def test_a_segmented_job_is_not_superseded_by_a_study_that_grows(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    jobs.succeed(NEW.job_id, [SEG])
    jobs.open(STUDY, [GROWN], "")
    assert stand(jobs).state is JobState.SEGMENTED


def test_success_of_a_job_opens_a_delivery_to_each_destination(
    jobs: JobList, database: Database
) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    assert jobs.succeed(NEW.job_id, [SEG, REPORT])
    assert jobs.results(NEW.job_id) == [REPORT, SEG]
    deliveries = DeliveryList(database)
    assert {delivery.destination for delivery in deliveries.unqueued()} == {"pacs", "archive"}
    assert not jobs.succeed(NEW.job_id, []), "it is done already"
    assert jobs.results(NEW.job_id) == [REPORT, SEG]


def test_a_job_of_an_earlier_version_has_the_same_destinations_for_every_verdict(
    jobs: JobList, database: Database
) -> None:
    jobs.open(STUDY, [NEW], "")
    with database.transaction() as connection:
        connection.execute(update(JOBS).values(destinations='["pacs", "archive"]'))
    assert stand(jobs).destinations == Destinations.for_every_verdict("pacs", "archive")


def test_results_that_are_held_back_are_not_delivered(jobs: JobList, database: Database) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    assert jobs.succeed(NEW.job_id, [SEG], judgement=replace(REJECTED, is_held=True))
    held = stand(jobs)
    assert held.state is JobState.HELD
    assert held.reason == "Rejected by quality control: Left and right are swapped."
    assert jobs.results(NEW.job_id) == [SEG]
    assert DeliveryList(database).of_job(NEW.job_id) == []
    assert told(database)[-2:] == [EventKind.SEGMENTED, EventKind.HELD]


@pytest.mark.parametrize(
    ("verdict", "reasons", "destination", "reason"),
    [
        (Verdict.OK, [], "pacs", None),
        (Verdict.REVIEW, ["A hole."], "desk", "Needs review: A hole."),
        (Verdict.REVIEW, list("abcde"), "desk", "Needs review: a b c And 2 more."),
        (Verdict.REJECT, ["Swapped."], "study", "Rejected by quality control: Swapped."),
    ],
)
def test_the_verdict_of_quality_control_decides_where_results_go(
    jobs: JobList,
    database: Database,
    verdict: Verdict,
    reasons: list[str],
    destination: str,
    reason: str | None,
) -> None:
    places = Destinations(ok=("pacs",), review=("desk",), reject=("study",))
    jobs.open(STUDY, [replace(NEW, destinations=places)], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    jobs.succeed(NEW.job_id, [SEG], judgement=Judgement(verdict=verdict, reasons=tuple(reasons)))
    assert [delivery.destination for delivery in DeliveryList(database).unqueued()] == [destination]
    done = stand(jobs)
    assert (done.state, done.reason) == (JobState.SEGMENTED, reason)


def test_the_reason_of_a_postponed_job_is_cleared_when_it_begins_again(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.begin(NEW.job_id, 1, "host-1")
    jobs.postpone(NEW.job_id, "the gateway was stopped", 5.0, is_attempt=False)
    waiting = stand(jobs)
    assert (waiting.reason, waiting.not_before) == ("the gateway was stopped", 5.0)
    assert (waiting.attempts, waiting.run, waiting.state) == (0, 2, JobState.QUEUED)
    begun = jobs.begin(NEW.job_id, 2, "host-1")
    assert begun is not None
    assert begun.reason is None


def test_a_queue_entry_of_an_earlier_run_never_begins_a_job(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.make_urgent(NEW.job_id, "anna")
    assert jobs.begin(NEW.job_id, 1, "host-1") is None
    assert stand(jobs).state is JobState.QUEUED
    assert jobs.begin(NEW.job_id, 2, "host-1") is not None
    jobs.cancel(NEW.job_id, "anna")
    jobs.retry(NEW.job_id, "anna")
    assert jobs.begin(NEW.job_id, 2, "host-1") is None
    assert jobs.begin(NEW.job_id, 4, "host-1") is None
    assert jobs.begin(NEW.job_id, 3, "host-1") is not None


def test_a_worker_can_not_end_a_job_that_another_worker_has_begun_since(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    first = jobs.begin(NEW.job_id, 1, "host-1")
    second = jobs.begin(NEW.job_id, 1, "host-2")
    assert not jobs.succeed(NEW.job_id, [SEG], begun=first)
    assert not jobs.die(NEW.job_id, "hopeless", begun=first)
    assert not jobs.postpone(NEW.job_id, "full", 0.0, begun=first)
    assert stand(jobs) == second
    assert jobs.succeed(NEW.job_id, [SEG], begun=second)


def test_results_of_a_worker_count_although_the_queue_had_lost_the_job(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    begun = jobs.begin(NEW.job_id, 1, "host-1")
    jobs.forgotten(stand(jobs))
    assert stand(jobs).run == 2
    assert jobs.succeed(NEW.job_id, [SEG], begun=begun)


def test_job_progress_is_stored_only_for_a_job_that_runs(jobs: JobList) -> None:
    jobs.open(STUDY, [NEW], "")
    jobs.progress(NEW.job_id, "segment", 1, 9)
    assert stand(jobs).stage is None
    jobs.begin(NEW.job_id, 1, "host-1")
    jobs.progress(NEW.job_id, "segment", 2, 9)
    job = stand(jobs)
    assert (job.stage, job.tiles_done, job.tiles) == ("segment", 2, 9)


def test_stored_gateway_jobs_are_listed_in_pages_newest_first(jobs: JobList) -> None:
    names = [f"{n:064d}" for n in range(5)]
    for name in names:
        jobs.open(STUDY, [replace(NEW, job_id=name, rule=name[-1])], "")
    assert [job.job_id for job in jobs.jobs(limit=2)] == names[:-3:-1]
    assert [job.job_id for job in jobs.jobs(limit=2, offset=4)] == names[:1]
    jobs.begin(names[2], 1, "host-1")
    assert [job.job_id for job in jobs.jobs([JobState.RUNNING])] == [names[2]]


def test_of_two_workers_that_begin_a_job_at_once_the_later_one_has_it(jobs: JobList) -> None:
    """An entry is begun again where its worker seems lost: the list says who has it then."""
    jobs.open(STUDY, [NEW], "")
    begun: list[Job | None] = []
    threads = [
        Thread(target=lambda name=name: begun.append(jobs.begin(NEW.job_id, 1, name)))
        for name in ("host-1", "host-2")
    ]
    for thread in threads:
        thread.start()
    for started in threads:
        started.join()
    assert sorted(item.attempts for item in begun if item) == [1, 2]
    last = max((item for item in begun if item), key=lambda one: one.attempts)
    assert stand(jobs).worker == last.worker
