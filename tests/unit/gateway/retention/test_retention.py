"""Tests retention on a real storage folder and database."""

from dataclasses import dataclass
from threading import Thread

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from gateway.retention.file_deletion import STEP_SECONDS
from gateway.retention.retention import AT_ONCE
from gateway.store.conflict import ConflictKind, Contradiction
from gateway.store.conflicts import ConflictList
from gateway.store.events import EventKind, history
from gateway.store.file_storage import INPUT_NAME
from gateway.store.ledger import EndedTransfer
from gateway.store.reject_replaced_results import reject_delivered_results
from gateway.store.schema import (
    DELIVERIES,
    EVENTS,
    INSTANCES,
    JOBS,
    SET_ASIDE,
    STUDIES,
    TRANSFERS,
)
from gateway.store.study_index import StudyAttributes, StudyIndex
from gateway.store.workers import WorkerList
from tests.unit.gateway.retention.example_gateway import DAY, Box, box


@dataclass(frozen=True, slots=True, kw_only=True)
class SomeDelivery:
    state: str
    days_ago: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SomeJob:
    state: str
    days_ago: int
    deliveries: dict[str, SomeDelivery]


AGES = st.integers(0, 9)
LIMITS = st.sampled_from([None, 0.5, 2.5, 5.5, 8.5])
OUTCOMES = st.builds(
    SomeDelivery,
    state=st.sampled_from(["delivered"] * 3 + ["committed"] * 3 + ["waiting", "dead"]),
    days_ago=AGES,
)
SOME_JOBS = st.lists(
    st.builds(
        SomeJob,
        state=st.sampled_from(
            ["segmented"] * 5 + ["queued", "running", "dead", "cancelled", "superseded"]
        ),
        days_ago=AGES,
        deliveries=st.dictionaries(st.sampled_from(["takes", "promises"]), OUTCOMES),
    ),
    max_size=2,
)


def build(one: Box, jobs: list[SomeJob], received_days_ago: int, *, is_growing: bool) -> None:
    one.receive("1.2", days_ago=received_days_ago)
    one.pass_on("1.2", *[str(number) for number, _ in enumerate(jobs)])
    if is_growing:
        one.receive("1.2", 1, days_ago=received_days_ago)
    for number, job in enumerate(jobs):
        ended_at = None if job.state in ("queued", "running") else one.ago(job.days_ago)
        row = update(JOBS).where(JOBS.c.job_id == str(number))
        one.set(row.values(state=job.state, ended_at=ended_at))
        for destination, delivery in _deliveries(job).items():
            at = one.ago(delivery.days_ago)
            if delivery.state == "dead":
                values = {
                    "at": at,
                    "study_instance_uid": "1.2",
                    "kind": "dead",
                    "object_kind": "delivery",
                    "outcome": "serious failure",
                }
                one.set(insert(EVENTS).values(values))
            one.set(
                insert(DELIVERIES).values(
                    job_id=str(number),
                    destination=destination,
                    state=delivery.state,
                    attempts=0,
                    run=1,
                    not_before=0.0,
                    is_enqueued=True,
                    created_at=one.ago(10),
                    delivered_at=at if delivery.state in ("delivered", "committed") else None,
                    committed_at=at if delivery.state == "committed" else None,
                )
            )


def _deliveries(job: SomeJob) -> dict[str, SomeDelivery]:
    return job.deliveries if job.state == "segmented" else {}


def _is_done(job: SomeJob) -> bool:
    """Whether nothing of a job is to come; a failure is nothing to come."""
    return job.state not in ("queued", "running") and all(
        one.state in ("committed", "dead") or (one.state == "delivered" and name == "takes")
        for name, one in _deliveries(job).items()
    )


def _has_failed(job: SomeJob) -> bool:
    return job.state in ("dead", "cancelled") or any(
        delivery.state == "dead" for delivery in _deliveries(job).values()
    )


def _age(job: SomeJob) -> int:
    return min([job.days_ago, *(delivery.days_ago for delivery in _deliveries(job).values())])


def _is_older(age: float, limit: float | None) -> bool:
    return limit is not None and age >= limit


@settings(max_examples=120)
@given(
    jobs=SOME_JOBS,
    received_days_ago=AGES,
    is_growing=st.sampled_from([False, False, False, True]),
    sources_days=LIMITS,
    results_days=LIMITS,
    failed_days=LIMITS,
)
def test_retention_deletes_only_files_that_the_rules_allow(
    jobs: list[SomeJob],
    received_days_ago: int,
    is_growing: bool,
    sources_days: float | None,
    results_days: float | None,
    failed_days: float | None,
) -> None:
    with box(sources_days=sources_days, results_days=results_days, failed_days=failed_days) as one:
        build(one, jobs, received_days_ago, is_growing=is_growing)
        one.apply()
        has_failed = any(_has_failed(job) for job in jobs)
        all_done = all(_is_done(job) for job in jobs)
        age = min([received_days_ago, *(_age(job) for job in jobs)])
        is_old = _is_older(age, failed_days if has_failed else sources_days)
        sources_gone = all_done and is_old and not is_growing
        assert (one.files("1.2") == 0) is sources_gone
        assert (one.count(INSTANCES) == 0) is sources_gone
        assert (one.count(STUDIES) == 0) is sources_gone
        expected = ["sources: 1 instances"] * sources_gone
        for number, job in enumerate(jobs):
            if has_failed:
                results_gone = all_done and _is_older(age, failed_days)
            else:
                results_gone = _is_done(job) and _is_older(_age(job), results_days)
            assert one.has(str(number), "output") is not results_gone
            if job.days_ago > 0:
                is_over = job.state not in ("queued", "running")
                assert one.has(str(number), INPUT_NAME) is not is_over
            expected += ["results: 0 files"] * results_gone
        assert sorted(map(str, one.deletions("1.2"))) == sorted(expected)


def test_retention_deletes_a_study_step_by_step_after_delivery_and_commitment() -> None:
    with box(sources_days=2, results_days=4) as one:
        one.receive("1.2")
        one.pass_on("1.2", "j", destinations=("takes", "promises"))
        one.apply()
        assert one.has("j", INPUT_NAME)
        one.succeed("j")
        one.apply()
        assert not one.has("j", INPUT_NAME)
        one.deliver("j", "takes")
        one.deliver("j", "promises")
        one.now += 10 * DAY
        one.apply()
        assert (one.files("1.2"), one.has("j", "output")) == (1, True), "not yet promised"
        one.commit("j", days_ago=0)
        one.now += 2 * DAY
        one.apply()
        assert (one.files("1.2"), one.has("j", "output")) == (0, True)
        one.now += 2 * DAY
        one.apply()
        assert not one.storage.job_folder("j").exists()
        assert one.deletions("1.2") == ["sources: 1 instances", "results: 1 files"]
        assert one.jobs.job("j") is not None, "it stays on record"


def test_retention_does_not_delete_a_study_that_is_received_again() -> None:
    with box(sources_days=2) as one:
        again = one.receive("1.2")
        one.pass_on("1.2")
        one.apply(1)
        assert one.count(INSTANCES) == 0
        one.receive("1.2", days_ago=0)
        one.apply()
        assert one.storage.path(again).read_text() == "content"
        assert [study.n_instances for study in one.ledger.growing_studies()] == [1]


def test_an_interrupted_deletion_of_a_study_continues_after_the_next_start() -> None:
    with box(sources_days=2, results_days=2) as one:
        one.receive("1.2")
        one.pass_on("1.2", "j")
        one.succeed("j")
        job = one.storage.job_folder("j")
        one.apply(1)
        assert not job.exists()
        job.mkdir()  # as if it had ended before the folder was moved
        one.now += STEP_SECONDS + 1
        one.retention = one.restarted()
        one.apply()
        assert not job.exists()
        assert one.files("1.2") == 0
        assert sorted(map(str, one.deletions("1.2"))) == [
            "results: 1 files",
            "sources: 1 instances",
        ]


def test_retention_deletes_a_transfer_with_the_last_of_its_studies() -> None:
    with box(sources_days=2) as one:
        one.receive("1.2")
        one.receive("1.3")
        one.set(update(INSTANCES).values(transfer="both"))
        one.ledger.end_transfer(EndedTransfer(transfer="both", ended_at=one.now, is_whole=True))
        one.pass_on("1.2")
        one.apply()
        assert (one.files("1.2"), one.files("1.3"), one.count(TRANSFERS)) == (0, 1, 1)
        one.pass_on("1.3")
        one.apply()
        assert one.count(TRANSFERS) == 0


def test_retention_keeps_the_input_of_a_job_while_a_worker_still_has_the_job() -> None:
    with box() as one:
        one.receive("1.2")
        one.pass_on("1.2", "j")
        worker_list = WorkerList(one.database)
        worker_list.see("worker-1", "cpu", "j")
        assert one.jobs.cancel("j", "anna")
        one.ended("j", 1)
        one.apply()
        assert one.has("j", INPUT_NAME)
        worker_list.see("worker-1", "cpu", None)
        one.apply()
        assert not one.has("j", INPUT_NAME)
        assert one.has("j", "output")


def test_retention_keeps_the_files_of_a_job_that_was_just_retried() -> None:
    with box(failed_days=2) as one:
        studies = [f"1.2.{number}" for number in range(AT_ONCE)]
        for study in studies:
            one.receive(study)
            one.pass_on(study, f"j{study}")
            assert one.jobs.die(f"j{study}", "it has ended its worker")
            one.ended(f"j{study}", 20)
        one.set(update(EVENTS).values(at=one.ago(20)))
        retrying = Thread(
            target=lambda: [one.jobs.retry(f"j{study}", "anna") for study in reversed(studies)]
        )
        retrying.start()
        one.apply(1)
        retrying.join()
        for study in studies:
            happened = [event.kind for event in history(one.database, study)]
            assert EventKind.DELETED not in happened[happened.index(EventKind.RETRIED) :]


def test_studies_that_must_stay_do_not_delay_the_deletion_of_others() -> None:
    with box(sources_days=2) as one:
        for number in range(AT_ONCE + 5):
            one.receive(f"1.2.{number}")
            one.pass_on(f"1.2.{number}", f"j{number}")
        one.receive("1.3", days_ago=3)
        one.pass_on("1.3")
        one.apply(6)
        assert one.files("1.3") == 0
        assert one.count(STUDIES) == AT_ONCE + 5


def test_retention_keeps_the_files_of_a_held_study_until_a_user_decides() -> None:
    with box(sources_days=5, results_days=5, failed_days=25) as one:
        one.receive("1.2")
        one.pass_on("1.2", "a", destinations=("takes",))
        one.succeed("a")
        one.deliver("a", "takes")
        new = one.receive("1.2", 1)
        (growing,) = one.ledger.growing_studies()
        one.jobs.leave_held(growing)
        conflicts = ConflictList(one.database)
        found = Contradiction(
            instance=new, kinds=frozenset({ConflictKind.PATIENT}), keywords=("PatientID",)
        )
        conflicts.hold("1.2", [found])
        one.apply()
        assert (one.files("1.2"), one.has("a", "output")) == (2, True)
        (conflict,) = conflicts.undecided()
        assert conflicts.reject_study(conflict.conflict_id, 1, "anna")
        one.apply()
        assert one.files("1.2") == 2, "a rejected study is one that has failed"
        one.now += 10 * DAY
        one.apply()
        assert (one.files("1.2"), one.has("a", "output")) == (0, False)
        assert one.count(SET_ASIDE) == 0


def test_retention_keeps_results_until_their_note_of_rejection_has_arrived() -> None:
    with box(results_days=5) as one:
        one.receive("1.2")
        one.pass_on("1.2", "a", destinations=("takes",))
        one.succeed("a")
        one.deliver("a", "takes")
        with one.database.transaction() as connection:
            reject_delivered_results(connection, "1.2")
        one.apply()
        assert one.has("a", "output")
        one.deliver("a", "takes")
        one.apply()
        assert not one.has("a", "output")


def test_the_attributes_of_a_study_are_deleted_with_its_last_file() -> None:
    with box(sources_days=5, results_days=10, failed_days=30) as one:
        index = StudyIndex(one.database)
        for study in ("1.2", "1.3"):
            one.receive(study)
        index.save(
            (study, StudyAttributes(study_instance_uid=study.study_instance_uid))
            for study in index.unindexed(10)
        )
        one.pass_on("1.2", "a" * 64, destinations=("takes",))
        one.pass_on("1.3")
        assert one.jobs.begin("a" * 64, 1, "box-1")
        one.succeed("a" * 64, days_ago=7)
        one.deliver("a" * 64, "takes", days_ago=7)
        one.apply()
        assert index.of("1.2") is not None, "its results are there"
        assert index.of("1.3") is None
        one.now += 5 * DAY
        one.apply()
        assert index.of("1.2") is None
