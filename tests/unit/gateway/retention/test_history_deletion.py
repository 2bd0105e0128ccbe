"""Tests when jobs and events of studies without files are deleted, and when they stay."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from gateway.config import AuditSection
from gateway.retention.retention import EVENTS_AT_ONCE
from gateway.store.events import EventKind, ObjectKind, events_after, record
from gateway.store.schema import AUDITED, DELIVERIES, EVENTS, JOBS, RESULTS
from tests.unit.gateway.retention.example_gateway import DAY, Box, box

TABLES = (JOBS, DELIVERIES, RESULTS)
AUDIT = {"syslog": {"host": "collector.example.org"}}
RULES = {"sources_days": 1, "results_days": 1, "history_days": 30}


@contextmanager
def finished(**more: float | None) -> Iterator[Box]:
    """A study that was delivered, and whose files are gone; and an event after it."""
    with box(**{**RULES, **more}) as one:
        deliver(one, "1.2", "j")
        one.apply()
        assert one.files("1.2") == 0
        record_start(one)
        yield one


def deliver(one: Box, study: str, job_id: str) -> None:
    one.receive(study)
    one.pass_on(study, job_id, destinations=("takes",))
    one.succeed(job_id)
    one.deliver(job_id, "takes")


def record_start(one: Box) -> None:
    with one.database.transaction() as connection:
        record(
            connection,
            EventKind.STARTED_UP,
            "",
            object_kind=ObjectKind.PROCESS,
            who="receive",
            at=one.now,
        )


def events(one: Box) -> list[EventKind]:
    return [event.kind for _, event in events_after(one.database, 0, 100)]


def is_on_record(one: Box) -> list[bool]:
    return [one.count(table) > 0 for table in TABLES]


def test_a_study_history_is_deleted_completely_but_the_newest_event_stays() -> None:
    with finished() as one:
        one.now += 29 * DAY
        one.apply()
        assert is_on_record(one) == [True, True, True]
        assert EventKind.DELETED in events(one)
        one.now += DAY
        one.apply()
        assert is_on_record(one) == [False, False, False]
        assert events(one) == [EventKind.STARTED_UP], "else its number would be given again"


def test_without_history_days_a_study_history_stays() -> None:
    with finished(history_days=None) as one:
        one.now += 100_000 * DAY
        one.apply()
        assert is_on_record(one) == [True, True, True]


@pytest.mark.parametrize("kept", ["sources_days", "results_days"])
def test_the_history_of_a_study_stays_while_it_has_files(kept: str) -> None:
    with box(**{**RULES, kept: None}) as one:
        deliver(one, "1.2", "j")
        one.apply()
        record_start(one)
        one.now += 100 * DAY
        one.apply()
        assert is_on_record(one) == [True, True, True]
        assert EventKind.DELETED in events(one)


@pytest.mark.parametrize("state", ["waiting", "dead"])
def test_a_study_history_stays_if_a_destination_did_not_get_the_results(state: str) -> None:
    with finished(failed_days=1) as one:
        one.set(update(DELIVERIES).values(state=state))
        one.now += 100 * DAY
        one.apply()
        assert is_on_record(one) == [True, True, True]


def test_retention_deletes_no_event_before_every_audit_place_has_it(tmp_path: Path) -> None:
    with finished() as one:
        one.settings = one.settings.model_copy(
            update={"audit": AuditSection.model_validate(AUDIT | {"file": tmp_path / "audit"})}
        )
        one.retention = one.restarted()
        record_start(one)
        newest = max(number for number, _ in events_after(one.database, 0, 100))
        one.now += 100 * DAY
        everything = events(one)
        one.set(insert(AUDITED).values(place="file", event_id=newest))
        one.apply()
        assert events(one) == everything, "the collector has none"
        one.set(insert(AUDITED).values(place="syslog", event_id=newest - 3))
        one.apply()
        assert events(one) == everything, "the collector lacks one of the study"
        one.set(update(AUDITED).values(event_id=newest))
        one.apply()
        assert events(one) == [EventKind.STARTED_UP]


def test_a_study_that_is_received_again_keeps_its_history() -> None:
    with finished() as one:
        one.now += 29 * DAY
        one.receive("1.2", days_ago=0)
        one.now += 2 * DAY
        one.apply()
        assert is_on_record(one) == [True, True, True]


def test_retention_deletes_events_without_a_study_in_batches() -> None:
    with box(history_days=30) as one:
        number = EVENTS_AT_ONCE + 10
        row = {
            "at": one.now,
            "study_instance_uid": "",
            "kind": EventKind.LOGGED_IN,
            "object_kind": "session",
            "outcome": "success",
        }
        one.set(insert(EVENTS).values([row] * number))
        one.now += 31 * DAY
        one.apply(1)
        assert one.count(EVENTS) == 10
        one.apply(1)
        assert one.count(EVENTS) == 1
