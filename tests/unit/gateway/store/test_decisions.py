"""Tests that decisions, their events and their deliveries are stored together, and only once."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gateway.store.counts_for_page_and_metrics import count_unqueued
from gateway.store.database import Database
from gateway.store.decision import DecisionKind, NewDecision, Parcel
from gateway.store.decisions import EVENT_OF_DECISION, DecisionList
from gateway.store.deliveries import DeliveryList
from gateway.store.events import Event, EventKind, history
from gateway.store.job import Destinations, JobState, Judgement, KeptResult
from gateway.store.jobs import JobList
from gateway.store.row_deletion import delete_history
from tests.unit.gateway.store.test_jobs import NEW, SEG, STUDY
from totalmap.finding import REJECTION_NOTE, Verdict

JOB_ID = NEW.job_id
HELD = Judgement(verdict=Verdict.REJECT, reasons=("The liver is missing.",), is_held=True)
DESTINATIONS = Destinations(ok=("pacs",), review=("pacs", "second"), reject=())
ACCEPT = NewDecision(form="a1", job_id=JOB_ID, run=1, kind=DecisionKind.ACCEPTED, who="eva")
REJECT = replace(ACCEPT, form="r1", kind=DecisionKind.REJECTED, reason="The spleen leaks.")


def results(database: Database, judgement: Judgement) -> None:
    jobs = JobList(database)
    jobs.open(STUDY, [replace(NEW, destinations=DESTINATIONS)], "")
    jobs.begin(JOB_ID, 1, "host-1")
    jobs.succeed(JOB_ID, [SEG], judgement=judgement)


@pytest.fixture
def decisions(database: Database) -> DecisionList:
    results(database, Judgement(verdict=Verdict.REVIEW, reasons=("The liver is small.",)))
    return DecisionList(database)


@pytest.fixture
def held(database: Database) -> DecisionList:
    results(database, HELD)
    return DecisionList(database)


def deliveries(database: Database) -> list[tuple[str, int]]:
    found = DeliveryList(database).of_job(JOB_ID)
    return sorted((each.destination, each.decision_id) for each in found)


def decided(database: Database) -> Sequence[Event]:
    kinds = EVENT_OF_DECISION.values()
    return [e for e in history(database, STUDY.study_instance_uid) if e.kind in kinds]


def state_of_job(database: Database) -> JobState:
    job = JobList(database).job(JOB_ID)
    assert job is not None
    return job.state


def follow(decisions: DecisionList, new: NewDecision, kind: DecisionKind, form: str) -> bool:
    """Decides after the last decision."""
    last = decisions.of_job(JOB_ID)[-1].decision_id
    return decisions.decide(replace(new, form=form, kind=kind, seen=last, reason="because"))


def test_a_decision_on_results_has_an_event_that_names_who_decided_and_why(
    decisions: DecisionList, database: Database
) -> None:
    assert decisions.decide(replace(REJECT, address="192.0.2.7"))
    (event,) = decided(database)
    assert (event.kind, event.who, event.detail) == (
        EventKind.RESULT_REJECTED,
        "eva",
        "decision 1",
    )
    assert (event.address, event.job_id) == ("192.0.2.7", JOB_ID)
    (decision,) = decisions.of_job(JOB_ID)
    assert (decision.at, decision.reason) == (event.at, "The spleen leaks.")


def test_a_decision_form_about_results_that_is_sent_again_decides_once(
    decisions: DecisionList, database: Database
) -> None:
    assert decisions.decide(REJECT)
    assert decisions.decide(REJECT)
    assert len(decisions.of_job(JOB_ID)) == len(decided(database)) == 1
    assert deliveries(database) == [("pacs", 0), ("pacs", 1), ("second", 0), ("second", 1)]


def test_of_decisions_on_results_at_the_same_moment_the_first_one_holds(
    decisions: DecisionList,
) -> None:
    forms = [replace(ACCEPT, form=f"form{n}", who=f"user{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = [*pool.map(decisions.decide, forms)]
    assert sum(done) == 1
    assert len(decisions.of_job(JOB_ID)) == 1


def test_a_decision_on_results_about_a_page_that_is_out_of_date_is_refused(
    decisions: DecisionList, database: Database
) -> None:
    assert decisions.decide(ACCEPT)
    assert not decisions.decide(REJECT), "it does not show the first decision"
    assert not decisions.decide(replace(REJECT, seen=1)), "the first one is not withdrawn"
    assert not decisions.decide(replace(REJECT, run=2)), "there are no such results"
    assert len(decided(database)) == 1


def test_an_acceptance_of_results_without_a_report_delivers_nothing(
    decisions: DecisionList, database: Database
) -> None:
    assert decisions.decide(ACCEPT)
    assert deliveries(database) == [("pacs", 0), ("second", 0)]


def test_a_verified_report_goes_to_every_destination_of_the_results(
    decisions: DecisionList, database: Database
) -> None:
    assert decisions.decide(replace(ACCEPT, organization="Hospital"))
    assert deliveries(database) == [("pacs", 0), ("pacs", 1), ("second", 0), ("second", 1)]
    (step,) = decisions.steps(JOB_ID)
    assert step.after.parcel is Parcel.VERIFIED_REPORT


def test_released_results_go_where_good_results_go(held: DecisionList, database: Database) -> None:
    assert state_of_job(database) is JobState.HELD
    assert deliveries(database) == []
    release = replace(ACCEPT, kind=DecisionKind.RELEASED, reason="It is a variant.")
    assert held.decide(release)
    assert state_of_job(database) is JobState.SEGMENTED
    assert deliveries(database) == [("pacs", 0)]


def test_a_withdrawn_release_holds_the_results_and_rejects_what_was_sent(
    held: DecisionList, database: Database
) -> None:
    held.decide(replace(ACCEPT, kind=DecisionKind.RELEASED, reason="It is a variant."))
    assert follow(held, ACCEPT, DecisionKind.WITHDRAWN, "w1")
    assert state_of_job(database) is JobState.HELD
    assert deliveries(database) == [("pacs", 0), ("pacs", 2)]
    assert held.steps(JOB_ID)[-1].after.parcel is Parcel.NOTE
    assert follow(held, ACCEPT, DecisionKind.RELEASED, "a3")
    assert held.steps(JOB_ID)[-1].after.parcel is Parcel.COPIES
    assert deliveries(database) == [("pacs", 0), ("pacs", 2), ("pacs", 3)]


def test_a_withdrawn_rejection_of_results_delivers_copies(
    decisions: DecisionList, database: Database
) -> None:
    decisions.decide(REJECT)
    assert follow(decisions, REJECT, DecisionKind.WITHDRAWN, "w1")
    first, second = decisions.steps(JOB_ID)
    assert (first.after.parcel, second.after.parcel) == (Parcel.NOTE, Parcel.COPIES)
    assert second.decision.withdraws == first.decision.decision_id
    assert ("second", 2) in deliveries(database)


def test_results_that_a_note_of_quality_control_rejects_are_released_as_copies(
    database: Database,
) -> None:
    note = KeptResult(path="results/rejection.dcm", kind=REJECTION_NOTE, sop_instance_uid="2.25.9")
    jobs = JobList(database)
    elsewhere = replace(DESTINATIONS, reject=("quality",))
    jobs.open(STUDY, [replace(NEW, destinations=elsewhere)], "")
    jobs.begin(JOB_ID, 1, "host-1")
    jobs.succeed(JOB_ID, [SEG, note], judgement=replace(HELD, is_held=False))
    decisions = DecisionList(database)
    assert not decisions.decide(ACCEPT), "archives hide the results"
    assert decisions.decide(replace(ACCEPT, kind=DecisionKind.RELEASED, reason="A variant."))
    assert decisions.steps(JOB_ID)[-1].after.parcel is Parcel.COPIES
    assert deliveries(database) == [("pacs", 1), ("quality", 0), ("quality", 1)]
    assert follow(decisions, ACCEPT, DecisionKind.WITHDRAWN, "w1")
    assert state_of_job(database) is JobState.SEGMENTED
    assert deliveries(database)[-1] == ("quality", 2)


def test_held_results_that_are_rejected_are_sent_nowhere(
    held: DecisionList, database: Database
) -> None:
    assert held.decide(REJECT)
    assert state_of_job(database) is JobState.HELD
    assert deliveries(database) == []


def test_decisions_of_people_belong_to_the_results_that_were_shown(
    held: DecisionList, database: Database
) -> None:
    held.decide(REJECT)
    jobs = JobList(database)
    assert jobs.retry(JOB_ID, "anna")
    assert held.of_job(JOB_ID) == []
    jobs.begin(JOB_ID, 2, "host-1")
    jobs.succeed(JOB_ID, [SEG])
    assert held.decide(replace(ACCEPT, form="a2", run=2))


def test_a_job_is_not_segmented_again_before_the_note_about_its_results_is_delivered(
    held: DecisionList, database: Database
) -> None:
    held.decide(replace(ACCEPT, kind=DecisionKind.RELEASED, reason="It is a variant."))
    assert follow(held, ACCEPT, DecisionKind.WITHDRAWN, "w1")
    jobs, all_deliveries = JobList(database), DeliveryList(database)
    for number in (0, 2):
        assert not jobs.retry(JOB_ID, "anna")
        delivery = all_deliveries.delivery(JOB_ID, "pacs", number)
        assert delivery is not None
        assert all_deliveries.delivered(delivery)
    assert jobs.retry(JOB_ID, "anna")


def test_a_job_is_not_segmented_again_after_the_note_about_its_results_was_given_up(
    held: DecisionList, database: Database
) -> None:
    held.decide(replace(ACCEPT, kind=DecisionKind.RELEASED, reason="It is a variant."))
    assert follow(held, ACCEPT, DecisionKind.WITHDRAWN, "w1")
    jobs, all_deliveries = JobList(database), DeliveryList(database)
    results, note = (all_deliveries.delivery(JOB_ID, "pacs", number) for number in (0, 2))
    assert results is not None
    assert note is not None
    assert all_deliveries.delivered(results)
    assert all_deliveries.die(note, "The archive is away.")
    assert not jobs.retry(JOB_ID, "anna"), "the archive still shows the results"
    given_up = all_deliveries.delivery(JOB_ID, "pacs", 2)
    assert given_up is not None
    assert all_deliveries.retry(given_up, "anna")
    again = all_deliveries.delivery(JOB_ID, "pacs", 2)
    assert again is not None
    assert all_deliveries.delivered(again)
    assert jobs.retry(JOB_ID, "anna")


def test_a_decision_is_delivered_after_the_results_that_it_is_about(
    decisions: DecisionList, database: Database
) -> None:
    decisions.decide(REJECT)
    all_deliveries = DeliveryList(database)
    waiting = [(each.destination, each.decision_id) for each in all_deliveries.unqueued()]
    assert waiting == [("pacs", 0), ("second", 0)]
    results_to_pacs, *_ = all_deliveries.unqueued()
    assert all_deliveries.delivered(results_to_pacs)
    waiting = [(each.destination, each.decision_id) for each in all_deliveries.unqueued()]
    assert waiting == [("second", 0), ("pacs", 1)]


def test_a_decision_that_waits_for_its_results_is_no_fault_of_the_dispatcher(
    decisions: DecisionList, database: Database
) -> None:
    all_deliveries = DeliveryList(database)
    for delivery in all_deliveries.unqueued():
        all_deliveries.enqueued(delivery)
    decisions.decide(REJECT)
    assert ("pacs", 1) in deliveries(database)
    assert count_unqueued(database, before=time.time() + 1) == 0


def test_the_decisions_on_results_of_a_deleted_history_are_deleted(
    decisions: DecisionList, database: Database
) -> None:
    decisions.decide(replace(REJECT, structures=("liver", "spleen"), findings=("SMALL",)))
    with database.transaction() as connection:
        delete_history(connection, STUDY.study_instance_uid, before=float("inf"))
    assert len(decisions.of_job(JOB_ID)) == 0
