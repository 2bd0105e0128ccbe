from dataclasses import replace

from gateway.store.audit_events import (
    SELDOM_AT_MOST,
    record_logged_in,
    record_login_failed,
    record_received,
    record_refused,
    record_rejected,
    record_shut_down,
    record_started_up,
    record_viewed,
)
from gateway.store.database import Database
from gateway.store.events import (
    Event,
    EventKind,
    ObjectKind,
    Outcome,
    events_after,
    history,
    record,
)
from gateway.store.ledger import Ledger
from tests.unit.gateway.instances import ELSEWHERE, ONE, SECOND


def everything(database: Database) -> list[Event]:
    return [event for _, event in events_after(database, 0, 1000)]


def test_a_transfer_of_several_studies_is_recorded_as_one_event_for_each_study(
    database: Database, ledger: Ledger
) -> None:
    later = replace(ONE, sop_instance_uid="1.2.9", transfer="second", received_at=2000.0)
    ledger.add([ONE, SECOND, ELSEWHERE, later])
    for _ in range(2):
        record_received(database, "first", "10.0.0.7")
    (event,) = history(database, "1.2")
    assert event == Event(
        at=SECOND.received_at,
        study_instance_uid="1.2",
        job_id=None,
        kind=EventKind.RECEIVED,
        who="CT1",
        detail="2 instances",
        address="10.0.0.7",
        transfer="first",
    )
    assert [event.detail for event in history(database, "1.3")] == ["1 instances"]


def test_a_transfer_that_a_crash_left_unrecorded_is_recorded_at_the_next_start(
    database: Database, ledger: Ledger
) -> None:
    ledger.add([ONE, replace(SECOND, transfer="second")])
    record_received(database, "first")
    record_received(database)
    assert [event.transfer for event in history(database, "1.2")] == ["first", "second"]


def test_a_flood_of_rejected_senders_stores_a_limited_number_of_events(database: Database) -> None:
    for _ in range(3):
        record_rejected(database, "STRANGER", "not one of receive.senders", "10.0.0.9")
    assert len(everything(database)) == 1
    record_rejected(database, "STRANGER", "certificate of nobody known", "10.0.0.9")
    assert len(everything(database)) == 2
    for number in range(2 * SELDOM_AT_MOST):
        record_rejected(database, f"STRANGER{number}", "not one of receive.senders")
    assert len(everything(database)) == SELDOM_AT_MOST


def test_a_flood_of_one_kind_of_recorded_event_does_not_suppress_other_kinds(
    database: Database,
) -> None:
    for number in range(SELDOM_AT_MOST):
        record_rejected(database, f"STRANGER{number}", "not one of receive.senders")
    record_refused(database, "CT1", "an instance is larger than receive.max_instance_mb")
    assert everything(database)[-1].kind is EventKind.REFUSED


def test_a_name_given_by_a_stranger_is_cut_and_made_printable_in_its_event(
    database: Database,
) -> None:
    record_login_failed(database, "eve\x00\n" + "e" * 500, "10.0.0.9")
    (event,) = everything(database)
    assert event.who == ("eve??" + "e" * 500)[:64]


def test_a_user_who_is_locked_out_causes_a_security_alert_event_as_well(database: Database) -> None:
    record_login_failed(database, "eve", "10.0.0.9")
    record_login_failed(database, "eve", "10.0.0.9", is_locked_out=True)
    failed, locked_out, alert = everything(database)
    assert failed.outcome is Outcome.MINOR_FAILURE
    assert (locked_out.kind, locked_out.outcome) == (
        EventKind.LOGIN_FAILED,
        Outcome.SERIOUS_FAILURE,
    )
    assert (alert.kind, alert.who) == (EventKind.REFUSED, "10.0.0.9")


def test_every_login_start_and_shutdown_is_recorded_as_an_event(database: Database) -> None:
    for _ in range(2):
        record_started_up(database, "receive")
        record_logged_in(database, "anna", "10.0.0.7")
        record_shut_down(database, "receive")
    assert [(event.kind, event.who) for event in everything(database)] == 2 * [
        (EventKind.STARTED_UP, "receive"),
        (EventKind.LOGGED_IN, "anna"),
        (EventKind.SHUT_DOWN, "receive"),
    ]


def test_a_study_page_that_is_reloaded_counts_as_one_view(database: Database) -> None:
    for study, who in (("1.2", "anna"), ("1.2", "anna"), ("1.2", "ben"), ("1.3", "anna")):
        record_viewed(database, study, who, "10.0.0.7")
    assert [event.who for event in history(database, "1.2")] == ["anna", "ben"]
    assert [event.who for event in history(database, "1.3")] == ["anna"]


def test_recorded_events_are_read_in_batches_after_a_given_event(database: Database) -> None:
    with database.transaction() as connection:
        for kind in (EventKind.COMPLETE, EventKind.QUEUED, EventKind.STARTED):
            record(connection, kind, "1.2", object_kind=ObjectKind.STUDY)
    (first, complete), (second, queued) = events_after(database, 0, 2)
    assert [complete.kind, queued.kind] == [EventKind.COMPLETE, EventKind.QUEUED]
    assert second > first
    ((_, started),) = events_after(database, second, 2)
    assert started.kind is EventKind.STARTED
