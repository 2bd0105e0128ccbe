"""What happened to each study, one line an event; nothing of a patient but the study's UID.

The audit trail (gateway/audit/auditor.py) is written from it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    text,
)

from gateway.store.database import Database
from gateway.store.schema import EVENTS, INSTANCES

# What strangers cause, and how much of it is put on record: the rest of a flood would say nothing
# new, and would fill the disk.
SELDOM_SECONDS = 60.0
SELDOM_AT_MOST = 60
NAME_CHARACTERS = 64
LOCKED_OUT = "too many attempts"


class EventKind(StrEnum):
    """The kinds of events."""

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
    CONFLICT = "conflict"
    CONFLICT_DECIDED = "conflict decided"
    DELETED = "deleted"
    VIEWED = "viewed"
    REJECTED = "rejected"
    REFUSED = "refused"
    LOGGED_IN = "logged in"
    LOGIN_FAILED = "login failed"
    STARTED_UP = "started up"
    SHUT_DOWN = "shut down"
    CLOCK_JUMPED = "clock jumped"
    CLOCK_CONFIRMED = "clock confirmed"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: Seconds since 1970, UTC.
        study_instance_uid: Empty where it was not about a study.
        who: The user, sender, worker or destination; None: the gateway itself.
        detail: The rest, in words.
        address: Of whoever it was, where that is known.
        transfer: In which instances were received.
    """

    at: float
    study_instance_uid: str
    job_id: str | None
    what: EventKind
    who: str | None
    detail: str | None
    address: str | None = None
    transfer: str | None = None


def record(
    connection: Connection,
    what: EventKind,
    study_instance_uid: str,
    *,
    job_id: str | None = None,
    who: str | None = None,
    detail: str | None = None,
    address: str | None = None,
    at: float | None = None,
) -> None:
    """Puts an event on record, together with whatever else the transaction does.

    The arguments are as in `Event`; `at` None: now.
    """
    connection.execute(
        insert(EVENTS).values(
            at=time.time() if at is None else at,
            study_instance_uid=study_instance_uid,
            job_id=job_id,
            what=what,
            who=who,
            detail=detail,
            address=address,
        )
    )


def record_received(
    database: Database, transfer: str | None = None, address: str | None = None
) -> None:
    """Puts on record who sent what: one event for each study of a transfer that has ended.

    How often it is called does not matter.

    Args:
        database: With the instances.
        transfer: Names it; None: each of which there is nothing on record yet, because the
            gateway was killed before it ended. Only at the start, before anything is received.
        address: From where it came.

    Raises:
        ResourceError: The database fails.
    """
    is_on_record = exists().where(
        EVENTS.c.transfer == INSTANCES.c.transfer,
        EVENTS.c.study_instance_uid == INSTANCES.c.study_instance_uid,
    )
    received = (
        select(
            func.max(INSTANCES.c.received_at),
            INSTANCES.c.study_instance_uid,
            literal(EventKind.RECEIVED.value),
            func.min(INSTANCES.c.sender),
            cast(func.count(), String) + " instances",
            literal(address, String),
            INSTANCES.c.transfer,
        )
        .where(~is_on_record)
        .group_by(INSTANCES.c.transfer, INSTANCES.c.study_instance_uid)
    )
    chosen = _transfers_without_events() if transfer is None else [transfer]
    received = received.where(INSTANCES.c.transfer.in_(chosen))
    columns = ["at", "study_instance_uid", "what", "who", "detail", "address", "transfer"]
    with database.transaction() as connection:
        connection.execute(insert(EVENTS).from_select(columns, received))


def _transfers_without_events() -> Select[str]:
    """Selects transfers of which nothing is on record, one step in the index for each transfer."""
    found = select(func.min(INSTANCES.c.transfer).label("transfer")).cte("found", recursive=True)
    following = (
        select(func.min(INSTANCES.c.transfer))
        .where(INSTANCES.c.transfer > found.c.transfer)
        .scalar_subquery()
    )
    found = found.union_all(select(following).where(found.c.transfer.is_not(None)))
    return select(found.c.transfer).where(
        found.c.transfer.is_not(None), ~exists().where(EVENTS.c.transfer == found.c.transfer)
    )


def record_rejected(database: Database, who: str, why: str, address: str | None = None) -> None:
    """Puts on record that somebody was not let in.

    Args:
        database: With the events.
        who: An AE title, or an address where there is no title.
        why: In words, always the same for the same reason.
        address: From where.

    Raises:
        ResourceError: The database fails.
    """
    _record_seldom(database, EventKind.REJECTED, who=who, detail=why, address=address)


def record_refused(database: Database, who: str, why: str, address: str | None = None) -> None:
    """Puts on record that somebody who was let in tried what is not allowed, such as too much.

    Args and Raises are those of `record_rejected`.
    """
    _record_seldom(database, EventKind.REFUSED, who=who, detail=why, address=address)


def record_logged_in(database: Database, who: str, address: str) -> None:
    """Puts on record that a user has logged in.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        record(connection, EventKind.LOGGED_IN, "", who=_name(who), address=address)


def record_login_failed(
    database: Database, who: str, address: str, *, is_locked_out: bool = False
) -> None:
    """Puts on record that somebody could not log in.

    Args:
        database: With the events.
        who: As they called themselves.
        address: From where.
        is_locked_out: Whether further attempts will be refused for a while, too; that is a
            security alert of its own.

    Raises:
        ResourceError: The database fails.
    """
    detail = LOCKED_OUT if is_locked_out else "wrong name or password"
    _record_seldom(database, EventKind.LOGIN_FAILED, who=who, detail=detail, address=address)
    if is_locked_out:
        record_refused(database, address, f"{LOCKED_OUT} to log in", address)


def record_viewed(
    database: Database,
    study_instance_uid: str,
    who: str,
    address: str,
    *,
    job_id: str | None = None,
    detail: str | None = None,
) -> None:
    """Puts on record that a user has looked at a study; the same at most once in a minute.

    Args:
        database: With the events.
        study_instance_uid: Of the study.
        who: The user.
        address: From where.
        job_id: Whose result it was; None: none.
        detail: Which result.

    Raises:
        ResourceError: The database fails.
    """
    same = (
        EVENTS.c.study_instance_uid == study_instance_uid,
        EVENTS.c.job_id.is_not_distinct_from(job_id),
        EVENTS.c.detail.is_not_distinct_from(detail),
        EVENTS.c.who == _name(who),
    )
    with database.transaction() as connection:
        if not _lately(connection, EventKind.VIEWED, *same):
            record(
                connection,
                EventKind.VIEWED,
                study_instance_uid,
                job_id=job_id,
                who=_name(who),
                detail=detail,
                address=address,
            )


def record_started_up(database: Database, process: str) -> None:
    """Puts on record that a process of the gateway begins its work.

    Args:
        database: With the events.
        process: Its role, as in `python -m gateway ROLE`, or the name of a worker.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        record(connection, EventKind.STARTED_UP, "", who=process)


def record_shut_down(database: Database, process: str) -> None:
    """Puts on record that a process of the gateway ends as it was told to.

    Args and Raises are those of `record_started_up`.
    """
    with database.transaction() as connection:
        record(connection, EventKind.SHUT_DOWN, "", who=process)


def history(database: Database, study_instance_uid: str) -> Sequence[Event]:
    """Returns the events of a study, the oldest first.

    Raises:
        ResourceError: The database fails.
    """
    of_study = EVENTS.c.study_instance_uid == study_instance_uid
    statement = select(*_COLUMNS).where(of_study).order_by(EVENTS.c.event_id)
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return [_event(row) for row in rows]


def events_after(database: Database, event_id: int, limit: int) -> Sequence[tuple[int, Event]]:
    """Returns the events after one of them, each with its id, the oldest first.

    None that comes later will have an id before these.

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
    return [(row.event_id, _event(row)) for row in rows]


_COLUMNS = [column for column in EVENTS.c if column is not EVENTS.c.event_id]


def _event(row: Row[Any]) -> Event:
    values = {column.name: getattr(row, column.name) for column in _COLUMNS}
    return Event(**{**values, "what": EventKind(row.what)})


def _record_seldom(
    database: Database, what: EventKind, *, who: str, detail: str, address: str | None
) -> None:
    name = _name(who)
    with database.transaction() as connection:
        if _lately(connection, what, EVENTS.c.who == name, EVENTS.c.detail == detail):
            return
        if _lately(connection, what) < SELDOM_AT_MOST:
            record(connection, what, "", who=name, detail=detail, address=address)


def _lately(connection: Connection, what: EventKind, *conditions: ColumnElement[bool]) -> int:
    since = time.time() - SELDOM_SECONDS
    statement = select(func.count()).where(EVENTS.c.at > since, EVENTS.c.what == what)
    return connection.execute(statement.where(*conditions)).scalar_one()


def _name(who: str) -> str:
    """Returns what strangers call themselves, without what a database or a log can't hold."""
    return "".join(one if one.isprintable() else "?" for one in who)[:NAME_CHARACTERS]
