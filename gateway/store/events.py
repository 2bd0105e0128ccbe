"""Stores what happened to each study, one row an event, and reads it for the page and the audit.

An event says in columns what happened, who did it, from which address, to which object, and with
which outcome. Its detail is for people only. Of a patient it holds nothing but the study's UID.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text

from gateway.store.database import Database
from gateway.store.schema import AUDITED, EVENTS


class EventKind(StrEnum):
    """What happened."""

    RECEIVED = "received"
    COMPLETE = "complete"
    NOT_WANTED = "not wanted"
    QUEUED = "queued"
    SUPERSEDED = "superseded"
    STARTED = "started"
    SEGMENTED = "segmented"
    HELD = "held back"
    POSTPONED = "postponed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    MADE_URGENT = "made urgent"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not delivered"
    COMMITTED = "committed"
    NOT_COMMITTED = "not committed"
    ACCEPTED = "accepted"
    RESULT_REJECTED = "result rejected"
    RELEASED = "released"
    COMMENTED = "commented"
    WITHDRAWN = "decision withdrawn"
    CONFLICT = "conflict"
    CONFLICT_DECIDED = "conflict decided"
    DELETED = "deleted"
    VIEWED = "viewed"
    SEARCHED = "searched"
    REJECTED = "rejected"
    REFUSED = "refused"
    LOGGED_IN = "logged in"
    LOGIN_FAILED = "login failed"
    LOGGED_OUT = "logged out"
    ACCOUNT_ADDED = "account added"
    ACCOUNT_REMOVED = "account removed"
    ROLE_CHANGED = "role changed"
    PASSWORD_CHANGED = "password changed"  # noqa: S105  no password
    SESSIONS_ENDED = "sessions ended"
    STARTED_UP = "started up"
    SHUT_DOWN = "shut down"
    CLOCK_JUMPED = "clock jumped"
    CLOCK_CONFIRMED = "clock confirmed"
    PAUSED = "paused"
    RESUMED = "resumed"
    DRAINING = "draining"
    RELOADED = "settings reloaded"
    NOT_RELOADED = "settings not reloaded"


class ObjectKind(StrEnum):
    """The kind of object to which an event happened; `Event.object_name` names the object.

    The name of a delivery is its destination, of a result its path, of a conflict its number, and
    of an account the name of its user.
    """

    STUDY = "study"
    SOURCES = "sources"
    JOB = "job"
    RESULT = "result"
    RESULTS = "results"
    DELIVERY = "delivery"
    CONFLICT = "conflict"
    CONNECTION = "connection"
    SESSION = "session"
    SEARCH = "search"
    ACCOUNT = "account"
    PROCESS = "process"
    QUEUE = "queue"
    SETTINGS = "settings"
    CLOCK = "clock"


class Outcome(StrEnum):
    """Whether an action succeeded, as in audit messages (PS3.15 A.5.1.1)."""

    SUCCESS = "success"
    MINOR_FAILURE = "minor failure"
    SERIOUS_FAILURE = "serious failure"


_OUTCOMES: Mapping[EventKind, Outcome] = MappingProxyType(
    {
        # Some of the results may have arrived, and the delivery is tried again.
        EventKind.NOT_DELIVERED: Outcome.MINOR_FAILURE,
        EventKind.NOT_COMMITTED: Outcome.MINOR_FAILURE,
        EventKind.POSTPONED: Outcome.MINOR_FAILURE,
        EventKind.LOGIN_FAILED: Outcome.MINOR_FAILURE,
        EventKind.REJECTED: Outcome.MINOR_FAILURE,
        EventKind.REFUSED: Outcome.MINOR_FAILURE,
        EventKind.NOT_RELOADED: Outcome.MINOR_FAILURE,
        EventKind.DEAD: Outcome.SERIOUS_FAILURE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: Seconds since 1970, UTC.
        study_instance_uid: Empty where it was not about a study.
        job_id: None where it was not about a job.
        who: The user, sender or worker; None: the gateway itself.
        detail: The rest, for people; nothing may depend on it.
        address: From which `who` acted, where that is known.
        transfer: In which instances were received.
        object_name: None where study and job say which object it is.
    """

    at: float
    study_instance_uid: str
    job_id: str | None
    kind: EventKind
    who: str | None
    detail: str | None
    address: str | None = None
    transfer: str | None = None
    object_kind: ObjectKind = ObjectKind.STUDY
    object_name: str | None = None
    outcome: Outcome = Outcome.SUCCESS


def record(
    connection: Connection,
    kind: EventKind,
    study_instance_uid: str,
    *,
    object_kind: ObjectKind,
    object_name: str | None = None,
    job_id: str | None = None,
    who: str | None = None,
    detail: str | None = None,
    address: str | None = None,
    outcome: Outcome | None = None,
    at: float | None = None,
) -> None:
    """Stores an event in the transaction of the caller.

    The arguments are those of `Event`; `outcome` None: the usual one of the kind; `at` None: now.
    """
    connection.execute(
        insert(EVENTS).values(
            at=time.time() if at is None else at,
            study_instance_uid=study_instance_uid,
            job_id=job_id,
            kind=kind,
            who=who,
            detail=detail,
            address=address,
            object_kind=object_kind,
            object_name=object_name,
            outcome=outcome or _OUTCOMES.get(kind, Outcome.SUCCESS),
        )
    )


def history(database: Database, study_instance_uid: str) -> Sequence[Event]:
    """Returns the events of a study, the oldest first.

    Raises:
        ResourceError: The database fails.
    """
    of_study = EVENTS.c.study_instance_uid == study_instance_uid
    statement = select(*_COLUMNS).where(of_study).order_by(EVENTS.c.event_id)
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return [event_of(row) for row in rows]


def events_after(database: Database, event_id: int, limit: int) -> Sequence[tuple[int, Event]]:
    """Returns the events after one of them, each with its id, the oldest first.

    An event that is stored later has a larger id than these.

    Raises:
        ResourceError: The database fails.
    """
    after = EVENTS.c.event_id > event_id
    statement = select(EVENTS.c.event_id, *_COLUMNS).where(after).order_by(EVENTS.c.event_id)
    with database.transaction() as connection:
        if database.is_postgres:
            # Ids are given before the commit: wait until all that have one have committed.
            connection.execute(text("LOCK TABLE events IN SHARE MODE"))
        rows = connection.execute(statement.limit(limit)).all()
    return [(row.event_id, event_of(row)) for row in rows]


_COLUMNS = [column for column in EVENTS.c if column is not EVENTS.c.event_id]


def event_of(row: Row[Any]) -> Event:
    """Returns the event of a row of `EVENTS`."""
    values = {column.key: getattr(row, column.key) for column in _COLUMNS}
    return Event(
        **{
            **values,
            "kind": EventKind(row.kind),
            "object_kind": ObjectKind(row.object_kind),
            "outcome": Outcome(row.outcome),
        }
    )


class AuditProgress:
    """The last event at each place; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        advance = database.insert_or(AUDITED)
        self._advance = advance.on_conflict_do_update(
            index_elements=[AUDITED.c.place], set_={"event_id": advance.excluded.event_id}
        )

    def last(self, place: str) -> int:
        """Returns the id of the last event that was written to a place; 0: there is none."""
        statement = select(AUDITED.c.event_id).where(AUDITED.c.place == place)
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar() or 0

    def advance(self, place: str, event_id: int) -> None:
        """Stores that all events up to an id were written to a place."""
        with self._database.transaction() as connection:
            connection.execute(self._advance, {"place": place, "event_id": event_id})
